/*
 * base.h
 *		What the text and engine libraries share: fixed-width names, errors.
 *
 * Nothing below src/text and src/engine knows PostgreSQL, prints or exits.  A
 * function that can fail returns false (or NULL) and fills an LlmError, which
 * the caller owns; a function that cannot fail returns void or its value.
 */
#ifndef LLM_BASE_H
#define LLM_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum LlmErrorCode
{
	LLM_OK,
	LLM_ERROR_FILE_ACCESS,		/* the system refused; saved_errno says why */
	LLM_ERROR_CORRUPT_FILE,		/* the file contradicts its format */
	LLM_ERROR_UNSUPPORTED,		/* a valid file of a kind we do not serve */
	LLM_ERROR_LIMIT,			/* larger than what is allowed or fits */
	LLM_ERROR_OUT_OF_MEMORY,
	LLM_ERROR_ARGUMENT,			/* the caller's value is out of range */
	LLM_ERROR_CANCELLED
} LlmErrorCode;

typedef struct LlmError
{
	LlmErrorCode code;
	int			saved_errno;	/* 0 unless LLM_ERROR_FILE_ACCESS */
	char		message[320];	/* lower case, no full stop */
	char		hint[192];		/* a full sentence, or empty */
} LlmError;

/*
 * Fill *error (which may be NULL) and return false, so that a check reads
 * "return llm_fail(error, LLM_ERROR_LIMIT, ...)".
 */
extern bool llm_fail(LlmError *error, LlmErrorCode code, const char *format,...)
			__attribute__((format(printf, 3, 4)));

/* Add a hint to an error that llm_fail has filled; returns false. */
extern bool llm_hint(LlmError *error, const char *format,...)
			__attribute__((format(printf, 2, 3)));

/* a * b and a + b; false when the result does not fit 64 bits. */
static inline bool
llm_multiply_sizes(uint64_t a, uint64_t b, uint64_t *result)
{
	return !__builtin_mul_overflow(a, b, result);
}

static inline bool
llm_add_sizes(uint64_t a, uint64_t b, uint64_t *result)
{
	return !__builtin_add_overflow(a, b, result);
}

#endif							/* LLM_BASE_H */
