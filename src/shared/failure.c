/*
 * failure.c
 *		What goes wrong in a worker, as the error that a backend raises.
 */
#include "shared/failure.h"

#include <errno.h>

void
Llama2SetFailure(Llama2Failure *failure, int sqlerrcode, const char *message, const char *hint)
{
	failure->sqlerrcode = sqlerrcode;
	strlcpy(failure->message, message, sizeof(failure->message));
	failure->detail[0] = '\0';
	strlcpy(failure->hint, hint ? hint : "", sizeof(failure->hint));
}

int
Llama2ErrorSqlState(const LlmError *error)
{
	switch (error->code)
	{
		case LLM_ERROR_FILE_ACCESS:
			return error->saved_errno == ENOENT ? ERRCODE_UNDEFINED_FILE : ERRCODE_IO_ERROR;
		case LLM_ERROR_CORRUPT_FILE:
			return ERRCODE_DATA_CORRUPTED;
		case LLM_ERROR_UNSUPPORTED:
			return ERRCODE_FEATURE_NOT_SUPPORTED;
		case LLM_ERROR_LIMIT:
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		case LLM_ERROR_OUT_OF_MEMORY:
			return ERRCODE_OUT_OF_MEMORY;
		case LLM_ERROR_ARGUMENT:
			return ERRCODE_INVALID_PARAMETER_VALUE;
		case LLM_ERROR_CANCELLED:
			return ERRCODE_QUERY_CANCELED;
		case LLM_OK:
			break;
	}
	return ERRCODE_INTERNAL_ERROR;
}

void
Llama2ModelFailure(const char *name, const LlmError *error, Llama2Failure *failure)
{
	char		message[LLAMA2_ERROR_LENGTH];

	if (error->code == LLM_ERROR_FILE_ACCESS && error->saved_errno == ENOENT)
	{
		snprintf(message, sizeof(message), "model \"%s\" does not exist", name);
		Llama2SetFailure(failure, ERRCODE_UNDEFINED_FILE, message,
						 "llama2_models() lists the models in llama2.model_directory.");
		return;
	}
	snprintf(message, sizeof(message), "could not load model \"%s\": %s", name, error->message);
	Llama2SetFailure(failure, Llama2ErrorSqlState(error), message, error->hint[0] ? error->hint : NULL);
}
