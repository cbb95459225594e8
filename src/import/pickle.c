/*
 * pickle.c
 *		The pickles of PyTorch checkpoints, read without running anything.
 *
 * Values live in one array and refer to each other by index; containers chain
 * their items in a second array.  Each opcode adds at most one of either, so
 * that memory stays in proportion to the pickle's length, and nothing recurses.
 */
#include "import/pickle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NO_ITEM UINT32_MAX
#define SHOWN_NAME 60

typedef enum PickleKind
{
	PICKLE_NONE,
	PICKLE_BOOL,
	PICKLE_INT,
	PICKLE_FLOAT,
	PICKLE_STRING,
	PICKLE_TUPLE,				/* and lists */
	PICKLE_DICT,				/* items are keys and values in turn */
	PICKLE_MARK,
	PICKLE_ORDERED_DICT,		/* from here on: what a name stands for */
	PICKLE_REBUILD_TENSOR,
	PICKLE_REBUILD_PARAMETER,
	PICKLE_STORAGE_TYPE,
	PICKLE_STORAGE,
	PICKLE_TENSOR
} PickleKind;

typedef struct PickleValue
{
	PickleKind	kind;
	LlmTensorType type;			/* of storages */
	int64_t		number;			/* integers; a storage's count; a tensor's offset */
	const char *bytes;			/* strings; a storage's key */
	uint32_t	length;
	uint32_t	first;			/* items of tuples and dicts; a tensor's storage, */
	uint32_t	last;			/* its shape */
	uint32_t	n_items;
	uint32_t	strides;		/* and its strides */
} PickleValue;

typedef struct PickleItem
{
	uint32_t	value;
	uint32_t	next;
} PickleItem;

typedef struct Pickle
{
	const uint8_t *bytes;
	uint64_t	length;
	uint64_t	cursor;
	PickleValue *values;
	uint32_t	n_values;
	PickleItem *items;
	uint32_t	n_items;
	uint32_t   *stack;
	uint32_t	depth;
	uint32_t   *memo;			/* value, or NO_ITEM */
	uint32_t	n_memo;			/* entries that were put in order, as picklers do */
	uint32_t	limit;			/* capacity of all four */
	LlmError   *error;
} Pickle;

static bool run(Pickle *pickle, bool *stopped);
static bool run_number(Pickle *pickle, uint8_t opcode);
static bool run_container(Pickle *pickle, uint8_t opcode);
static bool run_memo(Pickle *pickle, uint8_t opcode);
static bool push_text(Pickle *pickle, int length_bytes);
static bool push_global(Pickle *pickle);
static bool push_stack_global(Pickle *pickle);
static bool resolve(Pickle *pickle, const char *module, size_t module_length, const char *name,
					size_t name_length);
static bool reduce(Pickle *pickle);
static bool rebuild_tensor(Pickle *pickle, const PickleValue *arguments);
static bool load_storage(Pickle *pickle);
static bool visit_tensors(Pickle *pickle, uint32_t dict, PickleVisitor visit, void *arg);
static bool visit_tensor(Pickle *pickle, const PickleValue *key, const PickleValue *tensor,
						 PickleVisitor visit, void *arg);
static bool take_dims(const Pickle *pickle, uint32_t tuple, int32_t *n, int64_t *out);

static bool push(Pickle *pickle, PickleValue value);
static PickleValue *pop(Pickle *pickle);
static bool add_item(Pickle *pickle, uint32_t container, uint32_t value);
static uint32_t item_value(const Pickle *pickle, const PickleValue *container, uint32_t n);
static bool collect(Pickle *pickle, uint32_t container, uint32_t from);
static bool find_mark(Pickle *pickle, uint32_t *at);
static bool take(Pickle *pickle, int n, uint64_t *value);
static bool corrupt(Pickle *pickle, const char *what);
static bool is_text(const PickleValue *value, const char *text);

bool
pickle_read_tensors(const uint8_t *bytes, uint64_t length, PickleVisitor visit, void *arg,
					LlmError *error)
{
	Pickle		pickle = {.bytes = bytes, .length = length, .error = error};
	bool		stopped = false;
	bool		done;

	/* An opcode makes at most one value, and a value on the stack becomes at most one item. */
	if (length > UINT32_MAX / 64)
		return llm_fail(error, LLM_ERROR_LIMIT, "pickle has %" PRIu64 " bytes", length);
	pickle.limit = (uint32_t) length + 16;
	pickle.values = malloc(pickle.limit * sizeof(PickleValue));
	pickle.items = malloc(pickle.limit * sizeof(PickleItem));
	pickle.stack = malloc(pickle.limit * sizeof(uint32_t));
	pickle.memo = malloc(pickle.limit * sizeof(uint32_t));
	done = (pickle.values && pickle.items && pickle.stack && pickle.memo) ||
		llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for a pickle of %" PRIu64 " bytes",
				 length);
	while (done && !stopped)
		done = run(&pickle, &stopped);
	done = done && visit_tensors(&pickle, pickle.stack[pickle.depth - 1], visit, arg);
	free(pickle.values);
	free(pickle.items);
	free(pickle.stack);
	free(pickle.memo);
	return done;
}

/* One opcode. */
static bool
run(Pickle *pickle, bool *stopped)
{
	uint64_t	opcode;
	uint64_t	n;

	if (!take(pickle, 1, &opcode))
		return false;
	switch (opcode)
	{
		case 0x80:				/* PROTO */
			return take(pickle, 1, &n);
		case 0x95:				/* FRAME */
			return take(pickle, 8, &n);
		case '.':				/* STOP */
			*stopped = true;
			return pickle->depth > 0 || corrupt(pickle, "has no result");
		case 'N':				/* NONE */
			return push(pickle, (PickleValue) {.kind = PICKLE_NONE});
		case 0x88:				/* NEWTRUE */
		case 0x89:				/* NEWFALSE */
			return push(pickle, (PickleValue) {.kind = PICKLE_BOOL, .number = opcode == 0x88});
		case 'K':				/* BININT1 */
		case 'M':				/* BININT2 */
		case 'J':				/* BININT */
		case 0x8a:				/* LONG1 */
		case 'G':				/* BINFLOAT */
			return run_number(pickle, (uint8_t) opcode);
		case 'X':				/* BINUNICODE */
			return push_text(pickle, 4);
		case 0x8c:				/* SHORT_BINUNICODE */
			return push_text(pickle, 1);
		case 'c':				/* GLOBAL */
			return push_global(pickle);
		case 0x93:				/* STACK_GLOBAL */
			return push_stack_global(pickle);
		case 'R':				/* REDUCE */
			return reduce(pickle);
		case 'Q':				/* BINPERSID */
			return load_storage(pickle);
		case 'b':				/* BUILD: the state of a dictionary, which nobody needs */
			if (pop(pickle) == NULL)
				return false;
			if (pickle->depth == 0 || pickle->values[pickle->stack[pickle->depth -
				1]].kind != PICKLE_DICT)
				return corrupt(pickle, "sets the state of something that is no dictionary");
			return true;
		case '0':				/* POP */
			return pop(pickle) != NULL;
		case 'q':				/* BINPUT */
		case 'r':				/* LONG_BINPUT */
		case 0x94:				/* MEMOIZE */
		case 'h':				/* BINGET */
		case 'j':				/* LONG_BINGET */
			return run_memo(pickle, (uint8_t) opcode);
		default:
			return run_container(pickle, (uint8_t) opcode);
	}
}

static bool
run_number(Pickle *pickle, uint8_t opcode)
{
	PickleValue value = {.kind = PICKLE_INT};
	uint64_t	bits = 0;
	uint64_t	n = opcode == 'K' ? 1 : opcode == 'M' ? 2 : opcode == 'J' ? 4 : 8;

	if (opcode == 0x8a && (!take(pickle, 1, &n) || n > 8))
		return corrupt(pickle, "has an integer of more than 64 bits");
	if (!take(pickle, (int) n, &bits))
		return false;
	if (opcode == 'G')
		value.kind = PICKLE_FLOAT;
	/* Of these two, the highest bit is the sign. */
	if (opcode == 'J' || (opcode == 0x8a && n > 0 && n < 8))
	{
		uint64_t	sign = UINT64_C(1) << (8 * n - 1);

		bits = (bits ^ sign) - sign;
	}
	value.number = (int64_t) bits;
	return push(pickle, value);
}

static bool
run_container(Pickle *pickle, uint8_t opcode)
{
	PickleValue empty = {.kind = PICKLE_TUPLE, .first = NO_ITEM, .last = NO_ITEM};
	uint32_t	mark = 0;
	uint32_t	count = 0;

	switch (opcode)
	{
		case '(':				/* MARK */
			return push(pickle, (PickleValue) {.kind = PICKLE_MARK});
		case ')':				/* EMPTY_TUPLE */
		case ']':				/* EMPTY_LIST */
			return push(pickle, empty);
		case '}':				/* EMPTY_DICT */
			empty.kind = PICKLE_DICT;
			return push(pickle, empty);
		case 0x85:				/* TUPLE1 to TUPLE3 */
		case 0x86:
		case 0x87:
			count = opcode - 0x84u;
			if (pickle->depth < count)
				return corrupt(pickle, "takes more from its stack than there is");
			mark = pickle->depth - count;
			break;
		case 't':				/* TUPLE */
		case 'l':				/* LIST */
			if (!find_mark(pickle, &mark))
				return false;
			break;
		case 'u':				/* SETITEMS */
		case 'e':				/* APPENDS */
			if (!find_mark(pickle, &mark))
				return false;
			if (mark == 0)
				return corrupt(pickle, "adds items to nothing");
			if (!collect(pickle, pickle->stack[mark - 1], mark + 1))
				return false;
			pickle->depth = mark;
			return true;
		case 's':				/* SETITEM */
		case 'a':				/* APPEND */
			count = opcode == 's' ? 2 : 1;
			if (pickle->depth < count + 1)
				return corrupt(pickle, "takes more from its stack than there is");
			if (!collect(pickle, pickle->stack[pickle->depth - count - 1], pickle->depth - count))
				return false;
			pickle->depth -= count;
			return true;
		default:
			return llm_fail(pickle->error, LLM_ERROR_UNSUPPORTED,
							"pickle uses the opcode 0x%02x at byte %" PRIu64 ", which tensors do not need",
							opcode, pickle->cursor - 1);
	}

	/* A tuple of what lies above the mark, or of the last few. */
	if (!push(pickle, empty))
		return false;
	pickle->depth--;
	if (!collect(pickle, pickle->n_values - 1, count > 0 ? mark : mark + 1))
		return false;
	pickle->stack[mark] = pickle->n_values - 1;
	pickle->depth = mark + 1;
	return true;
}

static bool
run_memo(Pickle *pickle, uint8_t opcode)
{
	uint64_t	place = pickle->n_memo;
	bool		puts = opcode == 'q' || opcode == 'r' || opcode == 0x94;

	if (opcode != 0x94 && !take(pickle, opcode == 'q' || opcode == 'h' ? 1 : 4, &place))
		return false;
	if (puts)
	{
		if (pickle->depth == 0)
			return corrupt(pickle, "remembers nothing");
		/* Picklers count up. */
		if (place > pickle->n_memo || place >= pickle->limit)
			return corrupt(pickle, "remembers values out of order");
		pickle->memo[place] = pickle->stack[pickle->depth - 1];
		if (place == pickle->n_memo)
			pickle->n_memo++;
		return true;
	}
	if (place >= pickle->n_memo)
		return corrupt(pickle, "recalls a value that it has not remembered");
	if (pickle->depth >= pickle->limit)
		return corrupt(pickle, "has too deep a stack");
	pickle->stack[pickle->depth++] = pickle->memo[place];
	return true;
}

static bool
push_text(Pickle *pickle, int length_bytes)
{
	uint64_t	length;
	PickleValue value = {.kind = PICKLE_STRING};

	if (!take(pickle, length_bytes, &length))
		return false;
	if (length > pickle->length - pickle->cursor)
		return corrupt(pickle, "has a string that is longer than the rest");
	value.bytes = (const char *) pickle->bytes + pickle->cursor;
	value.length = (uint32_t) length;
	pickle->cursor += length;
	return push(pickle, value);
}

/* Two lines: module and name. */
static bool
push_global(Pickle *pickle)
{
	const char *lines[2];
	size_t		lengths[2];

	for (int i = 0; i < 2; i++)
	{
		const char *end;

		lines[i] = (const char *) pickle->bytes + pickle->cursor;
		end = memchr(lines[i], '\n', pickle->length - pickle->cursor);
		if (end == NULL)
			return corrupt(pickle, "ends within a name");
		lengths[i] = (size_t) (end - lines[i]);
		pickle->cursor += lengths[i] + 1;
	}
	return resolve(pickle, lines[0], lengths[0], lines[1], lengths[1]);
}

static bool
push_stack_global(Pickle *pickle)
{
	const PickleValue *name = pop(pickle);
	const PickleValue *module = name != NULL ? pop(pickle) : NULL;

	if (module == NULL)
		return false;
	if (name->kind != PICKLE_STRING || module->kind != PICKLE_STRING)
		return corrupt(pickle, "has a name that is no string");
	return resolve(pickle, module->bytes, module->length, name->bytes, name->length);
}

static bool
resolve(Pickle *pickle, const char *module, size_t module_length, const char *name,
	size_t name_length)
{
	static const struct
	{
		const char *module;
		const char *name;
		PickleKind	kind;
		LlmTensorType type;
	}			known[] = {
		{"collections", "OrderedDict", PICKLE_ORDERED_DICT, LLM_F32},
		{"torch._utils", "_rebuild_tensor_v2", PICKLE_REBUILD_TENSOR, LLM_F32},
		{"torch._utils", "_rebuild_parameter", PICKLE_REBUILD_PARAMETER, LLM_F32},
		{"torch", "FloatStorage", PICKLE_STORAGE_TYPE, LLM_F32},
		{"torch", "HalfStorage", PICKLE_STORAGE_TYPE, LLM_F16},
		{"torch", "BFloat16Storage", PICKLE_STORAGE_TYPE, LLM_BF16},
	};
	char		shown[2][SHOWN_NAME + 1];

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strlen(known[i].module) == module_length && strlen(known[i].name) == name_length &&
			memcmp(known[i].module, module, module_length) == 0 &&
			memcmp(known[i].name, name, name_length) == 0)
			return push(pickle, (PickleValue) {.kind = known[i].kind, .type = known[i].type});

	for (int i = 0; i < 2; i++)
	{
		const char *text = i == 0 ? module : name;
		size_t		length = i == 0 ? module_length : name_length;

		if (length > SHOWN_NAME)
			length = SHOWN_NAME;
		for (size_t j = 0; j < length; j++)
			shown[i][j] = text[j] >= ' ' && text[j] <= '~' ? text[j] : '?';
		shown[i][length] = '\0';
	}
	return llm_fail(pickle->error, LLM_ERROR_UNSUPPORTED,
					"pickle names \"%s.%s\", which tensors do not need", shown[0], shown[1]);
}

/* "Call" what is below the tuple of arguments. */
static bool
reduce(Pickle *pickle)
{
	const PickleValue *arguments = pop(pickle);
	const PickleValue *callee = arguments != NULL ? pop(pickle) : NULL;
	PickleValue dict = {.kind = PICKLE_DICT, .first = NO_ITEM, .last = NO_ITEM};

	if (callee == NULL)
		return false;
	if (arguments->kind != PICKLE_TUPLE)
		return corrupt(pickle, "calls with something that is no tuple");
	if (callee->kind == PICKLE_ORDERED_DICT && arguments->n_items == 0)
		return push(pickle, dict);
	if (callee->kind == PICKLE_REBUILD_TENSOR)
		return rebuild_tensor(pickle, arguments);
	if (callee->kind == PICKLE_REBUILD_PARAMETER && arguments->n_items >= 1)
	{
		PickleValue tensor = pickle->values[item_value(pickle, arguments, 0)];

		if (tensor.kind == PICKLE_TENSOR)
			return push(pickle, tensor);
	}
	return corrupt(pickle, "calls something that makes no tensor");
}

/* (storage, offset, shape, strides, requires_grad, hooks) */
static bool
rebuild_tensor(Pickle *pickle, const PickleValue *arguments)
{
	PickleValue tensor = {.kind = PICKLE_TENSOR};
	const PickleValue *offset;

	if (arguments->n_items < 4)
		return corrupt(pickle, "has a tensor without its shape");
	tensor.first = item_value(pickle, arguments, 0);
	tensor.last = item_value(pickle, arguments, 2);
	tensor.strides = item_value(pickle, arguments, 3);
	offset = &pickle->values[item_value(pickle, arguments, 1)];
	if (pickle->values[tensor.first].kind != PICKLE_STORAGE || offset->kind != PICKLE_INT)
		return corrupt(pickle, "has a tensor without its storage");
	tensor.number = offset->number;
	return push(pickle, tensor);
}

/* ("storage", type, key, device, count) */
static bool
load_storage(Pickle *pickle)
{
	const PickleValue *id = pop(pickle);
	const PickleValue *part[5];
	PickleValue storage = {.kind = PICKLE_STORAGE};

	if (id == NULL)
		return false;
	if (id->kind != PICKLE_TUPLE || id->n_items != 5)
		return corrupt(pickle, "refers to something that is no storage");
	for (uint32_t i = 0; i < 5; i++)
		part[i] = &pickle->values[item_value(pickle, id, i)];
	if (!is_text(part[0], "storage") || part[1]->kind != PICKLE_STORAGE_TYPE ||
		part[2]->kind != PICKLE_STRING || part[4]->kind != PICKLE_INT)
		return corrupt(pickle, "refers to something that is no storage");
	storage.type = part[1]->type;
	storage.bytes = part[2]->bytes;
	storage.length = part[2]->length;
	storage.number = part[4]->number;
	return push(pickle, storage);
}

static bool
visit_tensors(Pickle *pickle, uint32_t dict, PickleVisitor visit, void *arg)
{
	const PickleValue *root = &pickle->values[dict];
	const PickleValue *nested = NULL;
	bool		found = false;

	if (root->kind != PICKLE_DICT)
		return corrupt(pickle, "does not hold a dictionary");
	for (int level = 0; level < 2 && root != NULL && !found; level++, root = nested, nested = NULL)
		for (uint32_t i = root->first; i != NO_ITEM;)
		{
			const PickleValue *key = &pickle->values[pickle->items[i].value];
			const PickleValue *value;

			i = pickle->items[i].next;
			if (i == NO_ITEM)
				return corrupt(pickle, "has a key without a value");
			value = &pickle->values[pickle->items[i].value];
			i = pickle->items[i].next;
			if (value->kind == PICKLE_DICT && (is_text(key, "model") || is_text(key, "state_dict")))
				nested = value;
			if (value->kind != PICKLE_TENSOR)
				continue;
			if (!visit_tensor(pickle, key, value, visit, arg))
				return false;
			found = true;
		}
	return found || corrupt(pickle, "holds no tensors");
}

static bool
visit_tensor(Pickle *pickle, const PickleValue *key, const PickleValue *tensor, PickleVisitor visit,
			 void *arg)
{
	const PickleValue *storage = &pickle->values[tensor->first];
	PickleTensor found = {
		.name = key->bytes, .name_length = key->length, .storage = storage->bytes,
		.storage_length = storage->length, .type = storage->type, .storage_count = storage->number,
		.offset = tensor->number
	};
	int32_t		n_strides;

	if (key->kind != PICKLE_STRING)
		return corrupt(pickle, "has a tensor whose name is no string");
	if (!take_dims(pickle, tensor->last, &found.n_dims, found.dims) ||
		!take_dims(pickle, tensor->strides, &n_strides, found.strides) ||
		n_strides != found.n_dims)
		return corrupt(pickle, "has a tensor without a valid shape");
	return visit(arg, &found, pickle->error);
}

static bool
take_dims(const Pickle *pickle, uint32_t tuple, int32_t *n, int64_t *out)
{
	const PickleValue *value = &pickle->values[tuple];

	if (value->kind != PICKLE_TUPLE || value->n_items > PICKLE_MAX_DIMS)
		return false;
	*n = (int32_t) value->n_items;
	for (uint32_t i = 0; i < value->n_items; i++)
	{
		const PickleValue *item = &pickle->values[item_value(pickle, value, i)];

		if (item->kind != PICKLE_INT)
			return false;
		out[i] = item->number;
	}
	return true;
}

static bool
push(Pickle *pickle, PickleValue value)
{
	if (pickle->n_values >= pickle->limit || pickle->depth >= pickle->limit)
		return corrupt(pickle, "makes too many values");
	pickle->values[pickle->n_values] = value;
	pickle->stack[pickle->depth++] = pickle->n_values++;
	return true;
}

static PickleValue *
pop(Pickle *pickle)
{
	if (pickle->depth == 0)
	{
		corrupt(pickle, "takes more from its stack than there is");
		return NULL;
	}
	return &pickle->values[pickle->stack[--pickle->depth]];
}

static bool
add_item(Pickle *pickle, uint32_t container, uint32_t value)
{
	PickleValue *into = &pickle->values[container];

	if (into->kind != PICKLE_TUPLE && into->kind != PICKLE_DICT)
		return corrupt(pickle, "adds items to something that holds none");
	if (pickle->n_items >= pickle->limit)
		return corrupt(pickle, "makes too many items");
	pickle->items[pickle->n_items] = (PickleItem) {value, NO_ITEM};
	if (into->first == NO_ITEM)
		into->first = pickle->n_items;
	else
		pickle->items[into->last].next = pickle->n_items;
	into->last = pickle->n_items++;
	into->n_items++;
	return true;
}

/* Only for tuples that are short or whose first few items are asked for. */
static uint32_t
item_value(const Pickle *pickle, const PickleValue *container, uint32_t n)
{
	uint32_t	at = container->first;

	while (n-- > 0)
		at = pickle->items[at].next;
	return pickle->items[at].value;
}

/* What lies on the stack from `from` on becomes items of a container. */
static bool
collect(Pickle *pickle, uint32_t container, uint32_t from)
{
	for (uint32_t i = from; i < pickle->depth; i++)
		if (!add_item(pickle, container, pickle->stack[i]))
			return false;
	return true;
}

static bool
find_mark(Pickle *pickle, uint32_t *at)
{
	*at = pickle->depth;
	while (*at > 0)
		if (pickle->values[pickle->stack[--*at]].kind == PICKLE_MARK)
			return true;
	return corrupt(pickle, "ends a list that it has not begun");
}

/* An unsigned little endian number of n bytes. */
static bool
take(Pickle *pickle, int n, uint64_t *value)
{
	if ((uint64_t) n > pickle->length - pickle->cursor)
		return corrupt(pickle, "is cut short");
	*value = 0;
	memcpy(value, pickle->bytes + pickle->cursor, (size_t) n);
	pickle->cursor += (uint64_t) n;
	return true;
}

static bool
corrupt(Pickle *pickle, const char *what)
{
	return llm_fail(pickle->error, LLM_ERROR_CORRUPT_FILE, "pickle %s (at byte %" PRIu64 ")", what,
					pickle->cursor);
}

static bool
is_text(const PickleValue *value, const char *text)
{
	return value->kind == PICKLE_STRING && value->length == strlen(text) &&
		memcmp(value->bytes, text, value->length) == 0;
}
