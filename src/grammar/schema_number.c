/*
 * schema_number.c
 *		Numbers of a schema: bounds, multiples, and values that are excluded.
 *
 * Bounds are expressions, digit by digit.  What else there is, automata over the digits, is combined with them: the
 * remainder of what has been read tells whether a number is a multiple.
 */
#include "grammar/schema.h"

#include <string.h>

#include "grammar/automaton.h"
#include "grammar/automaton_build.h"

/* States of an automaton of multiples before it is reduced; operations of a number. */
#define MAX_REMAINDERS 20000
#define MAX_OPS 40000

/* Operations that a state takes, one for each digit and as many to choose between them. */
#define OPS_OF_STATE 22

static void tighten(LlmSchemaCompiler *compiler, const LlmJson *schema, const char *name, bool exclusive, bool low, LlmBound *bound);
static LlmDecimal read_multiple(LlmSchemaCompiler *compiler, const LlmJson *multiple);
static bool is_power_of_ten(const LlmDecimal *step);
static const LlmAutomaton *multiples(LlmSchemaCompiler *compiler, const LlmJson *multiple);
static const LlmAutomaton *multiples_of(LlmBuilder *builder, int step, int n_fraction);
static const LlmAutomaton *same_numbers(LlmBuilder *builder, const LlmJson *value);
static bool is_filtered(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, unsigned types);
static const LlmAutomaton *filtered(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, unsigned types,
									const LlmAutomaton *numbers);
static void bound_digits(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, LlmBound *low, LlmBound *high);
static const LlmExpr *range_expr(LlmSchemaCompiler *compiler, unsigned types, const LlmBound *low, const LlmBound *high,
								 int most_fraction);

void
llm_schema_bounds(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, LlmBound *low, LlmBound *high,
				  int *most_fraction)
{
	memset(low, 0, sizeof(*low));
	memset(high, 0, sizeof(*high));
	*most_fraction = -1;
	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *schema = conjunction->items[i].schema;
		const LlmJson *multiple = llm_keyword(schema, "multipleOf");

		tighten(compiler, schema, "minimum", false, true, low);
		tighten(compiler, schema, "exclusiveMinimum", true, true, low);
		tighten(compiler, schema, "maximum", false, false, high);
		tighten(compiler, schema, "exclusiveMaximum", true, false, high);
		if (multiple != NULL)
		{
			LlmDecimal	step = read_multiple(compiler, multiple);

			if (*most_fraction < 0 || step.n_fraction < *most_fraction)
				*most_fraction = step.n_fraction;
		}
	}
}

const LlmExpr *
llm_schema_number(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, unsigned types, const LlmJson *place)
{
	bool		integer = (types & LLM_TYPE_NUMBER) == 0;
	const LlmAutomaton *numbers;
	LlmBound	low;
	LlmBound	high;
	int			most_fraction;
	const LlmExpr *expr;

	llm_schema_bounds(compiler, conjunction, &low, &high, &most_fraction);
	if (!is_filtered(compiler, conjunction, types))
	{
		if (!integer && !low.given && !high.given && most_fraction < 0)
			return llm_json_rule(compiler->builder, LLM_JSON_ANY_NUMBER);
		expr = range_expr(compiler, types, &low, &high, most_fraction);
		if (expr == NULL)
			return llm_schema_empty(compiler, place, "no %s lies between minimum and maximum", integer ? "integer" : "number");
		return expr;
	}
	bound_digits(compiler, conjunction, &low, &high);
	expr = range_expr(compiler, types, &low, &high, most_fraction);
	if (expr == NULL)
		return llm_schema_empty(compiler, place, "no %s lies between minimum and maximum", integer ? "integer" : "number");
	numbers = filtered(compiler, conjunction, types, llm_automaton_from_expr(compiler->builder, expr));
	if (llm_automaton_is_empty(numbers))
		return llm_schema_empty(compiler, place, "no number between minimum and maximum is allowed");
	if (numbers->n_states > MAX_OPS / OPS_OF_STATE)
		llm_schema_fail(compiler, place, "numbers with these bounds and \"multipleOf\" are too complex");
	return llm_automaton_expr(compiler->builder, numbers, false);
}

bool
llm_schema_allows_number(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, const LlmJson *value)
{
	LlmBound	low;
	LlmBound	high;
	LlmDecimal	decimal;
	int			most_fraction;
	int			order;

	if (!llm_decimal_parse(value->text, value->length, &decimal))
		llm_schema_fail(compiler, value, "the number has more than %d digits", LLM_MAX_DIGITS);
	llm_schema_bounds(compiler, conjunction, &low, &high, &most_fraction);
	order = low.given ? llm_decimal_compare(&decimal, &low.value) : 1;
	if (order < 0 || (order == 0 && low.exclusive))
		return false;
	order = high.given ? llm_decimal_compare(&decimal, &high.value) : -1;
	if (order > 0 || (order == 0 && high.exclusive))
		return false;
	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *multiple = llm_keyword(conjunction->items[i].schema, "multipleOf");
		const LlmJson *other = llm_keyword(conjunction->items[i].schema, LLM_NOT_MULTIPLE);

		if (multiple != NULL && !llm_automaton_accepts(multiples(compiler, multiple), value->text, value->length))
			return false;
		if (other != NULL && llm_automaton_accepts(multiples(compiler, other), value->text, value->length))
			return false;
	}
	return true;
}

static void
tighten(LlmSchemaCompiler *compiler, const LlmJson *schema, const char *name, bool exclusive, bool low, LlmBound *bound)
{
	const LlmJson *value = llm_keyword(schema, name);
	LlmDecimal	decimal;
	int			order;

	if (value == NULL)
		return;
	if (value->kind != LLM_JSON_NUMBER)
		llm_schema_fail(compiler, value, "expected a number");
	if (!llm_decimal_parse(value->text, value->length, &decimal))
		llm_schema_fail(compiler, value, "the number has more than %d digits", LLM_MAX_DIGITS);
	order = bound->given ? llm_decimal_compare(&decimal, &bound->value) : 0;
	if (bound->given && (low ? order < 0 : order > 0))
		return;
	bound->exclusive = exclusive || (bound->given && order == 0 && bound->exclusive);
	bound->given = true;
	bound->value = decimal;
}

/* A number above 0. */
static LlmDecimal
read_multiple(LlmSchemaCompiler *compiler, const LlmJson *multiple)
{
	LlmDecimal	step = {0};
	LlmDecimal	zero = {.n_whole = 1, .whole = "0"};

	if (multiple->kind != LLM_JSON_NUMBER)
		llm_schema_fail(compiler, multiple, "expected a number");
	if (!llm_decimal_parse(multiple->text, multiple->length, &step))
		llm_schema_fail(compiler, multiple, "the number has more than %d digits", LLM_MAX_DIGITS);
	if (llm_decimal_compare(&step, &zero) <= 0)
		llm_schema_fail(compiler, multiple, "expected a number above 0");
	return step;
}

/* 1, 0.1, 0.01, ... only bound the digits behind the point. */
static bool
is_power_of_ten(const LlmDecimal *step)
{
	for (int i = 0; i < step->n_fraction - 1; i++)
	{
		if (step->fraction[i] != '0')
			return false;
	}
	if (step->n_fraction == 0)
		return step->n_whole == 1 && step->whole[0] == '1';
	return step->n_whole == 1 && step->whole[0] == '0' && step->fraction[step->n_fraction - 1] == '1';
}

static const LlmAutomaton *
multiples(LlmSchemaCompiler *compiler, const LlmJson *multiple)
{
	LlmDecimal	decimal = read_multiple(compiler, multiple);
	int			step = 0;

	for (int i = 0; i < decimal.n_whole + decimal.n_fraction && step <= MAX_REMAINDERS; i++)
		step = 10 * step + (i < decimal.n_whole ? decimal.whole[i] : decimal.fraction[i - decimal.n_whole]) - '0';
	if ((int64_t) step * (decimal.n_fraction + 2) > MAX_REMAINDERS)
		llm_schema_fail(compiler, multiple, "\"multipleOf\" with so many digits is not supported");
	return multiples_of(compiler->builder, step, decimal.n_fraction);
}

/*
 * Texts of numbers that are multiples of step / 10^n_fraction.  A state is how many digits have come behind the point (-1:
 * there was none) and the remainder of all digits; 0 is the start.
 */
static const LlmAutomaton *
multiples_of(LlmBuilder *builder, int step, int n_fraction)
{
	static const LlmCharRange characters[] = {
		{'-', '-'}, {'.', '.'}, {'0', '0'}, {'1', '1'}, {'2', '2'}, {'3', '3'}, {'4', '4'}, {'5', '5'}, {'6', '6'}, {'7', '7'},
		{'8', '8'}, {'9', '9'}
	};
	const int	n_characters = 12;
	LlmAutomaton *automaton = llm_builder_claim(builder, sizeof(LlmAutomaton));
	LlmCharRange *ranges = llm_builder_claim(builder, sizeof(characters));

	memcpy(ranges, characters, sizeof(characters));
	automaton->n_ranges = n_characters;
	automaton->ranges = ranges;
	automaton->n_states = (n_fraction + 2) * step;
	automaton->next = llm_builder_claim(builder, (size_t) automaton->n_states * (size_t) n_characters * sizeof(int));
	automaton->accepts = llm_builder_claim(builder, (size_t) automaton->n_states * sizeof(bool));
	for (int digits = -1; digits <= n_fraction; digits++)
	{
		int			scale = 1;

		for (int i = digits < 0 ? 0 : digits; i < n_fraction; i++)
			scale = (int) ((int64_t) scale * 10 % step);
		for (int remainder = 0; remainder < step; remainder++)
		{
			int			state = (digits + 1) * step + remainder;
			int		   *next = automaton->next + state * n_characters;

			automaton->accepts[state] = (int64_t) remainder * scale % step == 0;
			next[0] = digits < 0 ? state : -1;
			next[1] = digits < 0 ? step + remainder : -1;
			for (int digit = 0; digit < 10; digit++)
			{
				int			into = digits < 0 ? 0 : (digits + 2) * step;

				next[2 + digit] = into + (int) ((10 * (int64_t) remainder + digit) % step);
				/* a digit too many is a zero, or it is no multiple */
				if (digits == n_fraction)
					next[2 + digit] = digit == 0 ? state : -1;
			}
		}
	}
	return llm_automaton_reduce(builder, automaton);
}

/* All that stands for the same number: with zeros behind the point. */
static const LlmAutomaton *
same_numbers(LlmBuilder *builder, const LlmJson *value)
{
	LlmDecimal	decimal;
	const LlmExpr *zeros = llm_repeat(builder, llm_text(builder, "0"), 0, LLM_REPEAT_FOREVER);
	const LlmExpr *items[4] = {0};

	if (!llm_decimal_parse(value->text, value->length, &decimal))
		return NULL;
	if (decimal.negative)
		items[0] = llm_text(builder, "-");
	else if (decimal.n_whole == 1 && decimal.whole[0] == '0' && decimal.n_fraction == 0)
		items[0] = llm_optional(builder, llm_text(builder, "-"));
	items[1] = llm_literal(builder, decimal.whole, (size_t) decimal.n_whole);
	if (decimal.n_fraction == 0)
		items[2] = llm_optional(builder, llm_then(builder, llm_text(builder, "."), zeros));
	else
	{
		items[2] = llm_then(builder, llm_text(builder, "."), llm_literal(builder, decimal.fraction, (size_t) decimal.n_fraction));
		items[3] = zeros;
	}
	return llm_automaton_from_expr(builder, llm_sequence(builder, 4, items));
}

static bool
is_filtered(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, unsigned types)
{
	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *schema = conjunction->items[i].schema;
		const LlmJson *multiple = llm_keyword(schema, "multipleOf");
		const LlmJson *excluded = llm_keyword(schema, LLM_NOT_VALUES);
		LlmDecimal	step;

		if (llm_keyword(schema, LLM_NOT_MULTIPLE))
			return true;
		for (const LlmJson *value = excluded != NULL ? excluded->first : NULL; value != NULL; value = value->next)
		{
			if (value->kind == LLM_JSON_NUMBER)
				return true;
		}
		if (multiple != NULL)
		{
			step = read_multiple(compiler, multiple);
			if (!is_power_of_ten(&step))
				return true;
		}
	}
	return (types & LLM_TYPE_INTEGER) == 0;
}

static const LlmAutomaton *
filtered(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, unsigned types, const LlmAutomaton *numbers)
{
	LlmBuilder *builder = compiler->builder;

	if ((types & LLM_TYPE_INTEGER) == 0)
		numbers = llm_automaton_minus(builder, numbers, multiples_of(builder, 1, 0));
	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *schema = conjunction->items[i].schema;
		const LlmJson *multiple = llm_keyword(schema, "multipleOf");
		const LlmJson *other = llm_keyword(schema, LLM_NOT_MULTIPLE);
		const LlmJson *excluded = llm_keyword(schema, LLM_NOT_VALUES);

		if (multiple != NULL)
			numbers = llm_automaton_and(builder, numbers, multiples(compiler, multiple));
		if (other != NULL)
			numbers = llm_automaton_minus(builder, numbers, multiples(compiler, other));
		for (const LlmJson *value = excluded != NULL ? excluded->first : NULL; value != NULL; value = value->next)
		{
			const LlmAutomaton *same = value->kind == LLM_JSON_NUMBER ? same_numbers(builder, value) : NULL;

			if (same != NULL)
				numbers = llm_automaton_minus(builder, numbers, same);
		}
	}
	return llm_automaton_reduce(builder, numbers);
}

/* Where nothing bounds them, numbers have so few digits that the states for each remainder are not too many. */
static void
bound_digits(LlmSchemaCompiler *compiler, const LlmConjunction *conjunction, LlmBound *low, LlmBound *high)
{
	int64_t		n_states = 1;
	int			n_digits;

	for (int i = 0; i < conjunction->n; i++)
	{
		const LlmJson *multiple = llm_keyword(conjunction->items[i].schema, "multipleOf");
		const LlmJson *other = llm_keyword(conjunction->items[i].schema, LLM_NOT_MULTIPLE);

		n_states *= multiple != NULL ? multiples(compiler, multiple)->n_states : 1;
		n_states *= other != NULL ? multiples(compiler, other)->n_states + 1 : 1;
		n_states = n_states > MAX_OPS ? MAX_OPS : n_states;
	}
	n_digits = (int) (MAX_OPS / OPS_OF_STATE / 3 / n_states);
	if (n_digits >= 15)
		return;
	n_digits = n_digits < 4 ? 4 : n_digits;
	for (int i = 0; i < 2; i++)
	{
		const LlmBound *other = i == 0 ? high : low;
		LlmBound   *bound = i == 0 ? low : high;
		int			n = other->given && other->value.n_whole > n_digits ? other->value.n_whole + 1 : n_digits;

		if (!bound->given)
			*bound = llm_power_of_ten(n < LLM_MAX_DIGITS ? n : LLM_MAX_DIGITS, i == 0);
	}
}

static const LlmExpr *
range_expr(LlmSchemaCompiler *compiler, unsigned types, const LlmBound *low, const LlmBound *high, int most_fraction)
{
	if ((types & LLM_TYPE_NUMBER) == 0 || most_fraction == 0)
		return llm_integer_range(compiler->builder, low, high);
	return llm_number_range(compiler->builder, low, high, most_fraction);
}
