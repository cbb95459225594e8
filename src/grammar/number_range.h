/*
 * number_range.h
 *		Numbers between two bounds, digit by digit, exactly.  Private to grammar/.
 */
#ifndef LLM_NUMBER_RANGE_H
#define LLM_NUMBER_RANGE_H

#include "grammar/expr.h"

#define LLM_MAX_DIGITS 60

/* "-012.50" is -12.5: no leading zero but a single one, no trailing one behind the point. */
typedef struct LlmDecimal
{
	bool		negative;		/* never for 0 */
	int			n_whole;		/* >= 1 */
	int			n_fraction;
	char		whole[LLM_MAX_DIGITS + 2];
	char		fraction[LLM_MAX_DIGITS + 2];
} LlmDecimal;

typedef struct LlmBound
{
	bool		given;
	bool		exclusive;
	LlmDecimal	value;
} LlmBound;

/* False for what is no number without exponent, or has more than LLM_MAX_DIGITS digits. */
extern bool llm_decimal_parse(const char *text, size_t length, LlmDecimal *value);
extern int	llm_decimal_compare(const LlmDecimal *a, const LlmDecimal *b);

/* Beyond every number of so many digits. */
extern LlmBound llm_power_of_ten(int n_digits, bool negative);

/* NULL where there is none between them; most_fraction digits behind the point, -1: as many as make sense. */
extern const LlmExpr *llm_integer_range(LlmBuilder *builder, const LlmBound *low, const LlmBound *high);
extern const LlmExpr *llm_number_range(LlmBuilder *builder, const LlmBound *low, const LlmBound *high,
									   int most_fraction);

#endif							/* LLM_NUMBER_RANGE_H */
