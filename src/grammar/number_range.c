/*
 * number_range.c
 *		Numbers between two bounds, digit by digit, exactly.
 *
 * A number is written with as many digits as it takes and no exponent.  Digits are compared from the
 * left: as long as they are those of a bound, the next are bound by it, too.
 */
#include "grammar/number_range.h"

#include <string.h>

/* Digits of an integer that nothing bounds (bigint has 18 for sure), of a number that nothing bounds. */
#define FREE_INTEGER_DIGITS 18
#define FREE_NUMBER_DIGITS 15
#define FREE_FRACTION_DIGITS 10

typedef struct Fraction
{
	LlmBuilder *builder;
	const LlmBound *low;
	const LlmBound *high;
	int			most;			/* digits */
} Fraction;

static void round_bound(LlmBound *bound, bool up);
static void add_one(LlmDecimal *value);
static void subtract_one(LlmDecimal *value);
static LlmBound free_bound(const LlmBound *other, int n_digits, bool negative);
static LlmBound magnitude(const LlmBound *bound);
static LlmBound zero(bool exclusive);
static bool is_empty(const LlmBound *low, const LlmBound *high);
static int	compare_whole(const LlmDecimal *a, const LlmDecimal *b);
static const LlmExpr *with_sign(LlmBuilder *builder, const LlmExpr *negative, const LlmExpr *positive);
static const LlmExpr *whole_range(LlmBuilder *builder, const LlmDecimal *low, const LlmDecimal *high);
static const LlmExpr *same_length(LlmBuilder *builder, const char *low, const char *high, int n);
static const LlmExpr *free_digits(LlmBuilder *builder, int least, int most);
static const LlmExpr *digits_between(LlmBuilder *builder, int first, int last);
static const LlmExpr *positive_range(LlmBuilder *builder, const LlmBound *low, const LlmBound *high, int most_fraction);
static const LlmExpr *point_and_fraction(const Fraction *fraction, bool low, bool high);
static const LlmExpr *more_digits(const Fraction *fraction, int at, bool low, bool high);
static bool can_end(const Fraction *fraction, int at, bool low, bool high);
static int	digit_at(const LlmBound *bound, int at);
static bool rest_is_zero(const LlmBound *bound, int at);

bool
llm_decimal_parse(const char *text, size_t length, LlmDecimal *value)
{
	size_t		at = 0;

	memset(value, 0, sizeof(*value));
	if (at < length && text[at] == '-')
	{
		value->negative = true;
		at++;
	}
	for (; at < length && text[at] != '.'; at++)
	{
		if (text[at] < '0' || text[at] > '9' || value->n_whole == LLM_MAX_DIGITS)
			return false;
		if (value->n_whole == 1 && value->whole[0] == '0')
			value->n_whole = 0;
		value->whole[value->n_whole++] = text[at];
	}
	if (value->n_whole == 0)
		return false;
	for (at++; at < length; at++)
	{
		if (text[at] < '0' || text[at] > '9' || value->n_fraction == LLM_MAX_DIGITS)
			return false;
		value->fraction[value->n_fraction++] = text[at];
	}
	while (value->n_fraction > 0 && value->fraction[value->n_fraction - 1] == '0')
		value->n_fraction--;
	if (value->n_fraction == 0 && value->n_whole == 1 && value->whole[0] == '0')
		value->negative = false;
	return true;
}

int
llm_decimal_compare(const LlmDecimal *a, const LlmDecimal *b)
{
	int			order;

	if (a->negative != b->negative)
		return a->negative ? -1 : 1;
	order = compare_whole(a, b);
	for (int i = 0; order == 0 && (i < a->n_fraction || i < b->n_fraction); i++)
	{
		int			digit_a = i < a->n_fraction ? a->fraction[i] : '0';
		int			digit_b = i < b->n_fraction ? b->fraction[i] : '0';

		order = digit_a - digit_b;
	}
	order = order < 0 ? -1 : order > 0;
	return a->negative ? -order : order;
}

const LlmExpr *
llm_integer_range(LlmBuilder *builder, const LlmBound *low, const LlmBound *high)
{
	LlmBound	from = low->given ? *low : free_bound(high, FREE_INTEGER_DIGITS, true);
	LlmBound	to = high->given ? *high : free_bound(low, FREE_INTEGER_DIGITS, false);
	const LlmExpr *negative = NULL;
	const LlmExpr *positive = NULL;
	LlmDecimal	one = {.n_whole = 1, .whole = "1"};
	LlmDecimal	none = {.n_whole = 1, .whole = "0"};

	round_bound(&from, true);
	round_bound(&to, false);
	if (is_empty(&from, &to))
		return NULL;
	if (from.value.negative)
		negative = whole_range(builder, to.value.negative ? &to.value : &one, &from.value);
	if (!to.value.negative)
		positive = whole_range(builder, from.value.negative ? &none : &from.value, &to.value);
	return with_sign(builder, negative, positive);
}

const LlmExpr *
llm_number_range(LlmBuilder *builder, const LlmBound *low, const LlmBound *high, int most_fraction)
{
	LlmBound	from = low->given ? *low : free_bound(high, FREE_NUMBER_DIGITS, true);
	LlmBound	to = high->given ? *high : free_bound(low, FREE_NUMBER_DIGITS, false);
	const LlmExpr *negative = NULL;
	const LlmExpr *positive = NULL;

	if (is_empty(&from, &to))
		return NULL;
	if (from.value.negative)
	{
		LlmBound	least = to.value.negative ? magnitude(&to) : zero(true);
		LlmBound	greatest = magnitude(&from);

		negative = positive_range(builder, &least, &greatest, most_fraction);
	}
	if (!to.value.negative)
	{
		LlmBound	least = from.value.negative ? zero(false) : from;

		positive = positive_range(builder, &least, &to, most_fraction);
	}
	return with_sign(builder, negative, positive);
}

LlmBound
llm_power_of_ten(int n_digits, bool negative)
{
	LlmBound	bound = {.given = true, .exclusive = true};

	bound.value.negative = negative;
	bound.value.n_whole = n_digits + 1;
	memset(bound.value.whole, '0', (size_t) n_digits + 1);
	bound.value.whole[0] = '1';
	return bound;
}

/* To the next integer inside, which is then inclusive. */
static void
round_bound(LlmBound *bound, bool up)
{
	bool		away = bound->value.negative != up; /* inside is away from zero */

	if (bound->value.n_fraction > 0)
	{
		bound->value.n_fraction = 0;
		if (away)
			add_one(&bound->value);
	}
	else if (bound->exclusive)
	{
		if (away)
			add_one(&bound->value);
		else if (bound->value.n_whole == 1 && bound->value.whole[0] == '0')
		{
			bound->value.whole[0] = '1';
			bound->value.negative = !up;
		}
		else
			subtract_one(&bound->value);
	}
	if (bound->value.n_whole == 1 && bound->value.whole[0] == '0')
		bound->value.negative = false;
	bound->exclusive = false;
}

/* The next greater magnitude. */
static void
add_one(LlmDecimal *value)
{
	int			at = value->n_whole - 1;

	while (at >= 0 && value->whole[at] == '9')
		value->whole[at--] = '0';
	if (at >= 0)
	{
		value->whole[at]++;
		return;
	}
	memmove(value->whole + 1, value->whole, (size_t) value->n_whole);
	value->whole[0] = '1';
	value->n_whole++;
}

/* The next smaller magnitude of one that is at least 1. */
static void
subtract_one(LlmDecimal *value)
{
	int			at = value->n_whole - 1;

	while (value->whole[at] == '0')
		value->whole[at--] = '9';
	value->whole[at]--;
	if (value->n_whole > 1 && value->whole[0] == '0')
	{
		memmove(value->whole, value->whole + 1, (size_t) value->n_whole - 1);
		value->n_whole--;
	}
}

/* Beyond every number of so many digits, and beyond the other bound. */
static LlmBound
free_bound(const LlmBound *other, int n_digits, bool negative)
{
	if (other->given && other->value.negative == negative && other->value.n_whole >= n_digits)
		n_digits = other->value.n_whole + 1;
	return llm_power_of_ten(n_digits < LLM_MAX_DIGITS ? n_digits : LLM_MAX_DIGITS, negative);
}

static LlmBound
magnitude(const LlmBound *bound)
{
	LlmBound	result = *bound;

	result.value.negative = false;
	return result;
}

static LlmBound
zero(bool exclusive)
{
	return (LlmBound)
	{
		.given = true, .exclusive = exclusive,.value =
		{
			.n_whole = 1, .whole = "0"
		}
	};
}

static bool
is_empty(const LlmBound *low, const LlmBound *high)
{
	int			order = llm_decimal_compare(&low->value, &high->value);

	return order > 0 || (order == 0 && (low->exclusive || high->exclusive));
}

static int
compare_whole(const LlmDecimal *a, const LlmDecimal *b)
{
	if (a->n_whole != b->n_whole)
		return a->n_whole - b->n_whole;
	return memcmp(a->whole, b->whole, (size_t) a->n_whole);
}

static const LlmExpr *
with_sign(LlmBuilder *builder, const LlmExpr *negative, const LlmExpr *positive)
{
	if (negative == NULL)
		return positive;
	return llm_or(builder, llm_then(builder, llm_text(builder, "-"), negative), positive);
}

/* Integers from low to high, neither negative, by the number of their digits; NULL for none. */
static const LlmExpr *
whole_range(LlmBuilder *builder, const LlmDecimal *low, const LlmDecimal *high)
{
	LlmExprList list = {0};
	char		least[LLM_MAX_DIGITS + 2] = "1";
	char		greatest[LLM_MAX_DIGITS + 2];

	if (compare_whole(low, high) > 0)
		return NULL;
	memset(least + 1, '0', sizeof(least) - 1);
	memset(greatest, '9', sizeof(greatest));
	if (low->n_whole == high->n_whole)
		return same_length(builder, low->whole, high->whole, low->n_whole);
	llm_list_add(builder, &list, same_length(builder, low->whole, greatest, low->n_whole));
	if (high->n_whole - low->n_whole > 1)
		llm_list_add(builder, &list, llm_then(builder, digits_between(builder, 1, 9),
											  free_digits(builder, low->n_whole, high->n_whole - 2)));
	llm_list_add(builder, &list, same_length(builder, least, high->whole, high->n_whole));
	return llm_choice(builder, list.n_items, list.items);
}

/* NULL among the bounds is none. */
static const LlmExpr *
same_length(LlmBuilder *builder, const char *low, const char *high, int n)
{
	LlmExprList list = {0};
	int			first = low != NULL ? low[0] - '0' : 0;
	int			last = high != NULL ? high[0] - '0' : 9;

	if (n == 0 || (low == NULL && high == NULL))
		return free_digits(builder, n, n);
	if (low != NULL && high != NULL && first == last)
		return llm_then(builder, digits_between(builder, first, first), same_length(builder, low + 1, high + 1, n - 1));
	if (low != NULL)
	{
		llm_list_add(builder, &list, llm_then(builder, digits_between(builder, first, first),
											  same_length(builder, low + 1, NULL, n - 1)));
		first++;
	}
	if (high != NULL)
	{
		llm_list_add(builder, &list, llm_then(builder, digits_between(builder, last, last),
											  same_length(builder, NULL, high + 1, n - 1)));
		last--;
	}
	if (first <= last)
		llm_list_add(builder, &list, llm_then(builder, digits_between(builder, first, last),
											  free_digits(builder, n - 1, n - 1)));
	return llm_choice(builder, list.n_items, list.items);
}

static const LlmExpr *
free_digits(LlmBuilder *builder, int least, int most)
{
	return llm_repeat(builder, digits_between(builder, 0, 9), least, most);
}

static const LlmExpr *
digits_between(LlmBuilder *builder, int first, int last)
{
	return llm_char_range(builder, (uint32_t) ('0' + first), (uint32_t) ('0' + last));
}

/* The bounds are not negative. */
static const LlmExpr *
positive_range(LlmBuilder *builder, const LlmBound *low, const LlmBound *high, int most_fraction)
{
	int			given = low->value.n_fraction > high->value.n_fraction ? low->value.n_fraction : high->value.n_fraction;
	Fraction	fraction = {
		.builder = builder, .low = low, .high = high,
		.most = most_fraction >= 0 ? most_fraction : given + 1 > FREE_FRACTION_DIGITS ? given + 1 : FREE_FRACTION_DIGITS
	};
	LlmExprList list = {0};
	LlmDecimal	after = low->value;
	LlmDecimal	before = high->value;
	const LlmExpr *part;

	if (compare_whole(&low->value, &high->value) == 0)
	{
		part = point_and_fraction(&fraction, true, true);
		return part == NULL ? NULL :
			llm_then(builder, llm_literal(builder, low->value.whole, (size_t) low->value.n_whole), part);
	}
	part = point_and_fraction(&fraction, true, false);
	if (part != NULL)
		llm_list_add(builder, &list, llm_then(builder, llm_literal(builder, low->value.whole, (size_t) low->value.n_whole), part));
	add_one(&after);
	subtract_one(&before);
	part = whole_range(builder, &after, &before);
	if (part != NULL)
		llm_list_add(builder, &list, llm_then(builder, part, point_and_fraction(&fraction, false, false)));
	part = point_and_fraction(&fraction, false, true);
	if (part != NULL)
		llm_list_add(builder, &list, llm_then(builder, llm_literal(builder, high->value.whole, (size_t) high->value.n_whole), part));
	return list.n_items > 0 ? llm_choice(builder, list.n_items, list.items) : NULL;
}

/* low and high tell by which bounds the fraction is bound. */
static const LlmExpr *
point_and_fraction(const Fraction *fraction, bool low, bool high)
{
	const LlmExpr *digits = more_digits(fraction, 0, low, high);
	const LlmExpr *end = can_end(fraction, 0, low, high) ? llm_text(fraction->builder, "") : NULL;

	if (digits != NULL)
		digits = llm_then(fraction->builder, llm_text(fraction->builder, "."), digits);
	return digits != NULL && end != NULL ? llm_or(fraction->builder, end, digits) : end != NULL ? end : digits;
}

/* At least one more digit from place `at` on, or NULL. */
static const LlmExpr *
more_digits(const Fraction *fraction, int at, bool low, bool high)
{
	LlmBuilder *builder = fraction->builder;
	LlmExprList list = {0};
	int			first = low ? digit_at(fraction->low, at) : 0;
	int			last = high ? digit_at(fraction->high, at) : 9;

	if (at == fraction->most)
		return NULL;
	if (!low && !high)
		return free_digits(builder, 1, fraction->most - at);
	for (int digit = first; digit <= last; digit++)
	{
		bool		at_low = low && digit == first;
		bool		at_high = high && digit == last;
		int			end = digit;
		const LlmExpr *rest;

		/* digits between the bounds' are alike */
		if (!at_low && !at_high)
			end = high ? last - 1 : last;
		rest = more_digits(fraction, at + 1, at_low, at_high);
		if (can_end(fraction, at + 1, at_low, at_high))
			rest = rest != NULL ? llm_optional(builder, rest) : llm_text(builder, "");
		if (rest != NULL)
			llm_list_add(builder, &list, llm_then(builder, digits_between(builder, digit, end), rest));
		digit = end;
	}
	return list.n_items > 0 ? llm_choice(builder, list.n_items, list.items) : NULL;
}

static bool
can_end(const Fraction *fraction, int at, bool low, bool high)
{
	if (low && (!rest_is_zero(fraction->low, at) || fraction->low->exclusive))
		return false;
	return !high || !rest_is_zero(fraction->high, at) || !fraction->high->exclusive;
}

static int
digit_at(const LlmBound *bound, int at)
{
	return at < bound->value.n_fraction ? bound->value.fraction[at] - '0' : 0;
}

static bool
rest_is_zero(const LlmBound *bound, int at)
{
	return at >= bound->value.n_fraction;
}
