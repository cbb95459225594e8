/*
 * base.c
 *		Errors of the text and engine libraries.
 */
#include "text/base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

bool
llm_fail(LlmError *error, LlmErrorCode code, const char *format,...)
{
	int			saved_errno = errno;
	va_list		args;

	if (error == NULL)
		return false;
	error->code = code;
	error->saved_errno = code == LLM_ERROR_FILE_ACCESS ? saved_errno : 0;
	error->hint[0] = '\0';
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	return false;
}

bool
llm_hint(LlmError *error, const char *format,...)
{
	va_list		args;

	if (error == NULL)
		return false;
	va_start(args, format);
	vsnprintf(error->hint, sizeof(error->hint), format, args);
	va_end(args);
	return false;
}
