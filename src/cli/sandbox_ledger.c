/*
 * What the sandbox has carried out, in rings of fixed size. A slot is found by its sequence number,
 * an order by the hash of its reference. The memory is touched as it is used.
 */
#include "sandbox_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

/* Buckets of the orders' hash: a power of two near their number. */
#define BUCKETS (1u << 20)

/* Transaction ids start beyond those that the documentation shows as examples. */
#define EASYTRANSFERT_ID_BASE 200000
#define XENTE_ID_HEAD "0f595604-2c80-4d32-d3e4-"

static const char *const PROVIDERS[] = {"easytransfert", "xente", "sms"};

/* easytransfert.md 1.2 shows such a balance; the tariffs are those of config/demo.lua. */
static const struct wallet WALLETS[SANDBOX_NOBODY] = {
	[SANDBOX_EASYTRANSFERT] = {139403535, 139403535, 980, 20},
	[SANDBOX_XENTE] = {400000000, 400000000, 1000, 0},
};

int ledger_init(struct ledger *ledger, const char *file, struct err *err)
{
	*ledger = (struct ledger){.fd = -1};
	memcpy(ledger->wallets, WALLETS, sizeof(WALLETS));
	ledger->sales = calloc(SANDBOX_SALES, sizeof(ledger->sales[0]));
	ledger->orders = calloc(SANDBOX_ORDERS, sizeof(ledger->orders[0]));
	ledger->order_heads = calloc(BUCKETS, sizeof(ledger->order_heads[0]));
	tama_assert(ledger->sales != NULL && ledger->orders != NULL && ledger->order_heads != NULL);
	if (file == NULL)
		return 0;
	ledger->fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (ledger->fd < 0)
		return err_set(err, TAMA_EIO, "%s: %s", file, strerror(errno));
	return 0;
}

void ledger_fini(struct ledger *ledger)
{
	free(ledger->sales);
	free(ledger->orders);
	free(ledger->order_heads);
	if (ledger->fd >= 0)
		(void)close(ledger->fd);
}

/* Ids go on where they were: parcels under way must not meet another sale under theirs. */
void ledger_reset(struct ledger *ledger)
{
	for (uint64_t seq = ledger_oldest(ledger); seq <= ledger->last; seq++)
		ledger->sales[seq % SANDBOX_SALES].seq = 0;
	memset(ledger->order_heads, 0, BUCKETS * sizeof(ledger->order_heads[0]));
	memset(ledger->executed, 0, sizeof(ledger->executed));
	memset(ledger->sum, 0, sizeof(ledger->sum));
	ledger->orders_last = 0;
	ledger->requested = 0;
	ledger->executed_twice = 0;
	for (size_t i = 0; i < SANDBOX_NOBODY; i++)
		ledger->wallets[i].balance = ledger->wallets[i].opening;
}

static uint64_t order_key(enum sandbox_provider provider, struct str ref)
{
	const char c = (char)provider;
	return sandbox_hash(sandbox_hash(0, (struct str){&c, 1}), ref);
}

static uint32_t *order_head(const struct ledger *ledger, uint64_t key)
{
	return &ledger->order_heads[key % BUCKETS];
}

static struct order *order_find(
	const struct ledger *ledger, enum sandbox_provider provider, struct str ref)
{
	uint64_t key = order_key(provider, ref);
	for (uint32_t at = *order_head(ledger, key); at != 0; at = ledger->orders[at - 1].next) {
		struct order *order = &ledger->orders[at - 1];
		if (order->key == key && order->provider == provider &&
			str_eq(str_c(order->ref), ref))
			return order;
	}
	return NULL;
}

const struct order *ledger_order_find(
	const struct ledger *ledger, enum sandbox_provider provider, struct str ref)
{
	return order_find(ledger, provider, ref);
}

static void order_unlink(struct ledger *ledger, uint32_t slot)
{
	uint32_t *at = order_head(ledger, ledger->orders[slot].key);
	while (*at != 0 && *at != slot + 1)
		at = &ledger->orders[*at - 1].next;
	if (*at != 0)
		*at = ledger->orders[slot].next;
}

struct order *ledger_order(struct ledger *ledger, enum sandbox_provider provider, struct str ref)
{
	struct order *order = order_find(ledger, provider, ref);
	if (order != NULL || ref.n == 0 || ref.n > SANDBOX_REF_MAX)
		return order;
	uint64_t seq = ++ledger->orders_last;
	uint32_t slot = (uint32_t)(seq % SANDBOX_ORDERS);
	if (seq > SANDBOX_ORDERS)
		order_unlink(ledger, slot);
	order = &ledger->orders[slot];
	*order = (struct order){
		.key = order_key(provider, ref), .seq = seq, .provider = (uint8_t)provider};
	(void)sandbox_copy(order->ref, sizeof(order->ref), ref);
	uint32_t *head = order_head(ledger, order->key);
	order->next = *head;
	*head = slot + 1;
	return order;
}

/* One line, one write, so that a killed sandbox leaves whole lines. */
static void ledger_append(const struct ledger *ledger, const struct sale *sale)
{
	struct buf line;
	buf_init(&line, 4096);
	ledger_write_json(ledger, sale, &line);
	buf_add_char(&line, '\n');
	if (line.overflowed || write(ledger->fd, line.p, line.n) != (ssize_t)line.n)
		(void)fputs("sandbox: the ledger file lacks a line\n", stderr);
	buf_fini(&line);
}

int64_t wallet_moves(const struct wallet *wallet, int64_t amount, bool is_collect, bool is_airtime)
{
	if (is_collect)
		return amount - amount * wallet->collect_fee / 1000;
	return is_airtime ? amount * wallet->cost_permille / 1000 : amount;
}

/* What a sale in that state has done to the wallet. */
static int64_t effect_of(const struct sale *sale, enum sale_state state)
{
	if (sale->is_collect)
		return state == SALE_SUCCESSFUL ? sale->moves : 0;
	return state == SALE_FAILED ? 0 : -sale->moves;
}

void ledger_settle(struct ledger *ledger, struct sale *sale, enum sale_state state)
{
	ledger->wallets[sale->provider].balance +=
		effect_of(sale, state) - effect_of(sale, (enum sale_state)sale->state);
	sale->state = (uint8_t)state;
}

struct sale *ledger_execute(struct ledger *ledger, const struct sale *made)
{
	struct sale *sale = &ledger->sales[++ledger->last % SANDBOX_SALES];
	*sale = *made;
	sale->seq = ledger->last;
	sale->made_ms = sandbox_clock_ms();
	ledger->wallets[sale->provider].balance += effect_of(sale, SALE_PENDING);
	ledger->executed[sale->provider]++;
	ledger->sum[sale->provider] += sale->amount;
	struct order *order =
		ledger_order(ledger, (enum sandbox_provider)sale->provider, str_c(sale->ref));
	if (order != NULL && order->executed++ > 0)
		ledger->executed_twice++;
	if (ledger->fd >= 0)
		ledger_append(ledger, sale);
	return sale;
}

struct sale *ledger_sale(const struct ledger *ledger, uint64_t seq)
{
	struct sale *sale = &ledger->sales[seq % SANDBOX_SALES];
	return seq != 0 && sale->seq == seq ? sale : NULL;
}

uint64_t ledger_oldest(const struct ledger *ledger)
{
	return ledger->last > SANDBOX_SALES ? ledger->last - SANDBOX_SALES + 1 : 1;
}

int ledger_service(struct ledger *ledger, struct str service)
{
	for (unsigned i = 0; i < ledger->services_len; i++) {
		if (str_eq(str_c(ledger->services[i]), service))
			return (int)i;
	}
	if (ledger->services_len == SANDBOX_SERVICES || service.n > SANDBOX_SERVICE_MAX)
		return -1;
	(void)sandbox_copy(
		ledger->services[ledger->services_len], SANDBOX_SERVICE_MAX + 1, service);
	return (int)ledger->services_len++;
}

void ledger_id(const struct sale *sale, struct buf *out)
{
	if (sale->provider == SANDBOX_XENTE)
		buf_printf(out, XENTE_ID_HEAD "%012" PRIx64, sale->seq);
	else
		buf_printf(out, "EFB.%06" PRIu64, sale->seq + EASYTRANSFERT_ID_BASE);
}

static uint64_t seq_of_hex(struct str hex)
{
	uint64_t seq = 0;
	if (hex.n != 12)
		return 0;
	for (size_t i = 0; i < hex.n; i++) {
		const char *digits = "0123456789abcdef";
		const char *digit = hex.p[i] != '\0' ? strchr(digits, hex.p[i]) : NULL;
		if (digit == NULL)
			return 0;
		seq = seq * 16 + (uint64_t)(digit - digits);
	}
	return seq;
}

uint64_t ledger_seq_of_id(enum sandbox_provider provider, struct str id)
{
	int64_t n;
	struct str head = provider == SANDBOX_XENTE ? STR(XENTE_ID_HEAD) : STR("EFB.");
	if (!str_has_prefix(id, head))
		return 0;
	if (provider == SANDBOX_XENTE)
		return seq_of_hex(str_from(id, head.n));
	if (!str_to_i64(str_from(id, head.n), &n) || n <= EASYTRANSFERT_ID_BASE)
		return 0;
	return (uint64_t)n - EASYTRANSFERT_ID_BASE;
}

/* SUCCESSFULL is Xente's own spelling (xente.md 2.4). */
const char *ledger_state_word(const struct sale *sale)
{
	static const char *const easytransfert[] = {"PENDING", "SUCCESSFUL", "FAILED"};
	static const char *const xente[] = {"PROCESSING", "SUCCESSFULL", "FAILED"};
	return sale->provider == SANDBOX_XENTE ? xente[sale->state] : easytransfert[sale->state];
}

void ledger_write_json(const struct ledger *ledger, const struct sale *sale, struct buf *out)
{
	const struct order *order =
		order_find(ledger, (enum sandbox_provider)sale->provider, str_c(sale->ref));
	buf_printf(out, "{\"seq\":%" PRIu64 ",\"provider\":\"%s\",\"id\":\"", sale->seq,
		PROVIDERS[sale->provider]);
	ledger_id(sale, out);
	buf_printf(out, "\",\"our_ref\":");
	sandbox_json_text(out, str_c(sale->ref));
	buf_printf(out, ",\"number\":");
	sandbox_json_text(out, str_c(sale->number));
	buf_printf(out, ",\"amount\":%" PRId64 ",\"service\":", sale->amount);
	sandbox_json_text(out, str_c(ledger->services[sale->service]));
	buf_printf(out, ",\"collect\":%s", sale->is_collect ? "true" : "false");
	buf_printf(out, ",\"requested\":%u,\"executed\":%u", order != NULL ? order->requested : 1,
		order != NULL ? order->executed : 1);
	buf_printf(out, ",\"state\":\"%s\",\"ipns_sent\":%u,\"ipns_acknowledged\":%u",
		ledger_state_word(sale), sale->ipns_sent, sale->ipns_acknowledged);
	buf_printf(out, ",\"made_ms\":%" PRId64 "}", sale->made_ms);
}
