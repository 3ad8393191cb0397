/* What the two halves of print_machine share. */
#ifndef PRINT_MACHINE_H
#define PRINT_MACHINE_H

#include "tama/purchase.h"

/* Terms of which every sum a*price + b*cost + c*fee with small a, b, c can be read back. */
#define SAMPLE_PRICE 1000000
#define SAMPLE_COST 1000
#define SAMPLE_FEE 1

const char *step_kind_name(enum step_kind kind);
enum attempt_state state_after(enum attempt_state state, enum attempt_event event);

/* docs/machine.md on stdout; the last two are its sections on answers and on the books. */
void print_page(void);
void print_answers(void);
void print_worth(void);

#endif
