/* What persons decide: kept as a proposal until another person agrees, then applied in one commit.
 */
#include "engine_priv.h"

int handle_decision(struct engine *e, struct engine_event *event)
{
	event->outcome = ENGINE_NOT_DECIDABLE;
	event->as.decision.reason = "no decisions yet";
	return 0;
}
