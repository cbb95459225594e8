/*
 * chat_template.c
 *		Dialogs to token ids, by the rule of Meta's chat_completion, which refuses messages with markers: here they are text.
 */
#include "text/chat_template.h"

#include "text/spell_markers.h"
#include "text/tokenize.h"

#include <stdlib.h>
#include <string.h>

#define USER_BEGIN LLM_USER_MARKER " "
#define USER_END " " LLM_USER_END_MARKER
#define ANSWER_BEGIN " "
#define ANSWER_END " "
#define SYSTEM_BEGIN LLM_SYSTEM_MARKER "\n"
#define SYSTEM_END "\n" LLM_SYSTEM_END_MARKER "\n\n"

/* Not less than the template puts around one message. */
#define LONGEST_FRAME (sizeof(USER_BEGIN USER_END SYSTEM_BEGIN SYSTEM_END))

/* Text being put together, with room for all that will come, and for where its tokens begin. */
typedef struct Buffer
{
	char	   *bytes;
	size_t		length;
	size_t	   *offsets;
	LlmSpan		contents[3];	/* of messages: system's, user's and answer */
	int			n_contents;
} Buffer;

static bool check_special(int32_t id, const char *name, LlmError *error);
static const char *role_name(LlmChatRole role);
static bool claim_buffer(const LlmChatMessage *messages, int n_messages, Buffer *buffer,
						 LlmError *error);
static void append(Buffer *buffer, const char *bytes, size_t length);
static void append_content(Buffer *buffer, const char *bytes, size_t length);
static void append_user(Buffer *buffer, const LlmChatMessage *system, const LlmChatMessage *user);
static void append_answer(Buffer *buffer, const LlmChatMessage *answer);
static void trim_end(Buffer *buffer, size_t begin);
static void trim_start(const char **bytes, size_t *length);
static size_t white_space_length(const char *bytes, size_t length);

bool
llm_chat_check(const LlmChatMessage *messages, int n_messages, LlmError *error)
{
	int			first = n_messages > 0 && messages[0].role == LLM_ROLE_SYSTEM ? 1 : 0;
	int			i;

	for (i = first; i < n_messages; i++)
	{
		LlmChatRole expected = (i - first) % 2 == 0 ? LLM_ROLE_USER : LLM_ROLE_ASSISTANT;

		if (messages[i].role == expected)
			continue;
		llm_fail(error, LLM_ERROR_ARGUMENT, "message %d is of role \"%s\", expected \"%s\"",
				 i + 1, role_name(messages[i].role), role_name(expected));
		return llm_hint(error, "A dialog is an optional system message, then user and assistant "
						"messages in turn, a user message last.");
	}
	if (n_messages <= first)
		return llm_fail(error, LLM_ERROR_ARGUMENT, "the dialog has no user message");
	if (messages[n_messages - 1].role != LLM_ROLE_USER)
		return llm_fail(error, LLM_ERROR_ARGUMENT,
						"message %d, the last one, is of role \"%s\", expected \"%s\"", n_messages,
						role_name(messages[n_messages - 1].role), role_name(LLM_ROLE_USER));
	return true;
}

size_t
llm_chat_bound(const LlmChatMessage *messages, int n_messages)
{
	size_t		bound = 0;
	int			i;

	for (i = 0; i < n_messages; i++)
	{
		size_t		length;

		/* Each turn is tokenized with a BOS, which its bound includes, and may end in EOS. */
		if (__builtin_add_overflow(messages[i].length, LONGEST_FRAME, &length) ||
			__builtin_add_overflow(bound, llm_tokenize_bound(length), &bound) ||
			__builtin_add_overflow(bound, 1, &bound))
			return SIZE_MAX;
	}
	return bound;
}

bool
llm_chat_tokenize(const LlmVocabulary *vocabulary, const LlmChatMessage *messages, int n_messages,
				  bool mark_answers, int32_t *ids, size_t *n_ids, LlmError *error)
{
	int32_t		eos_id = llm_vocabulary_eos(vocabulary);
	const LlmChatMessage *system = NULL;
	Buffer		buffer = {0};
	bool		done = true;
	int			i = 0;

	*n_ids = 0;
	if (!llm_chat_check(messages, n_messages, error) ||
		!check_special(llm_vocabulary_bos(vocabulary), "beginning-of-text", error) ||
		!check_special(eos_id, "end-of-text", error) ||
		!claim_buffer(messages, n_messages, &buffer, error))
		return false;
	if (messages[0].role == LLM_ROLE_SYSTEM)
		system = &messages[i++];
	for (; done && i < n_messages; i += 2)
	{
		bool		finished = i + 1 < n_messages;
		size_t		answer;
		size_t		n_turn;

		buffer.length = 0;
		buffer.n_contents = 0;
		append_user(&buffer, system, &messages[i]);
		system = NULL;
		answer = buffer.length;
		if (finished)
			append_answer(&buffer, &messages[i + 1]);
		done = llm_tokenize_with_offsets(vocabulary, buffer.bytes, buffer.length, true, ids + *n_ids, buffer.offsets,
										 &n_turn, error);
		if (done)
			n_turn = llm_spell_markers(vocabulary, buffer.bytes, buffer.length, buffer.contents, buffer.n_contents,
									   ids + *n_ids, buffer.offsets, n_turn);
		for (size_t k = 0; done && mark_answers && k < n_turn; k++)
			if (buffer.offsets[k] >= answer)
				ids[*n_ids + k] |= LLM_ANSWER_TOKEN;
		*n_ids += n_turn;
		if (done && finished)
			ids[(*n_ids)++] = eos_id;
	}
	free(buffer.bytes);
	free(buffer.offsets);
	if (!done)
		*n_ids = 0;
	return done;
}

static bool
check_special(int32_t id, const char *name, LlmError *error)
{
	if (id < 0)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"the vocabulary has no %s token, which the chat template needs", name);
	return true;
}

static const char *
role_name(LlmChatRole role)
{
	switch (role)
	{
		case LLM_ROLE_SYSTEM:
			return "system";
		case LLM_ROLE_USER:
			return "user";
		case LLM_ROLE_ASSISTANT:
			return "assistant";
	}
	return "unknown";
}

/* Room for the longest turn: three neighbours hold any turn, system message included. */
static bool
claim_buffer(const LlmChatMessage *messages, int n_messages, Buffer *buffer, LlmError *error)
{
	size_t		longest = 0;
	int			i;

	for (i = 0; i < n_messages; i++)
	{
		size_t		sum = 3 * LONGEST_FRAME;
		int			j;

		for (j = i; j < n_messages && j < i + 3; j++)
		{
			if (__builtin_add_overflow(sum, messages[j].length, &sum))
				return llm_fail(error, LLM_ERROR_LIMIT, "message %d has %zu bytes", j + 1,
								messages[j].length);
		}
		if (sum > longest)
			longest = sum;
	}
	buffer->length = 0;
	buffer->bytes = malloc(longest);
	buffer->offsets = calloc(llm_tokenize_bound(longest), sizeof(size_t));
	if (buffer->bytes != NULL && buffer->offsets != NULL)
		return true;
	free(buffer->bytes);
	free(buffer->offsets);
	return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY,
					"out of memory while putting together a turn of %zu bytes", longest);
}

static void
append(Buffer *buffer, const char *bytes, size_t length)
{
	if (length > 0)
		memcpy(buffer->bytes + buffer->length, bytes, length);
	buffer->length += length;
}

static void
append_content(Buffer *buffer, const char *bytes, size_t length)
{
	buffer->contents[buffer->n_contents++] = (LlmSpan) {buffer->length, buffer->length + length};
	append(buffer, bytes, length);
}

/* The system message is part of the user's content, so white space between them stays. */
static void
append_user(Buffer *buffer, const LlmChatMessage *system, const LlmChatMessage *user)
{
	const char *content = user->content;
	size_t		length = user->length;
	size_t		begin;

	append(buffer, USER_BEGIN, strlen(USER_BEGIN));
	begin = buffer->length;
	if (system != NULL)
	{
		append(buffer, SYSTEM_BEGIN, strlen(SYSTEM_BEGIN));
		append_content(buffer, system->content, system->length);
		append(buffer, SYSTEM_END, strlen(SYSTEM_END));
	}
	else
		trim_start(&content, &length);
	append_content(buffer, content, length);
	trim_end(buffer, begin);
	append(buffer, USER_END, strlen(USER_END));
}

static void
append_answer(Buffer *buffer, const LlmChatMessage *answer)
{
	const char *content = answer->content;
	size_t		length = answer->length;
	size_t		begin;

	append(buffer, ANSWER_BEGIN, strlen(ANSWER_BEGIN));
	begin = buffer->length;
	trim_start(&content, &length);
	append_content(buffer, content, length);
	trim_end(buffer, begin);
	append(buffer, ANSWER_END, strlen(ANSWER_END));
}

/* Drop white space at the buffer's end, but nothing before begin. */
static void
trim_end(Buffer *buffer, size_t begin)
{
	size_t		width = 1;

	/* No white space is longer than three bytes, and none ends in another. */
	while (width <= 3 && width <= buffer->length - begin)
	{
		if (white_space_length(buffer->bytes + buffer->length - width, width) == width)
		{
			buffer->length -= width;
			width = 1;
		}
		else
			width++;
	}
	for (int i = 0; i < buffer->n_contents; i++)
	{
		LlmSpan    *content = &buffer->contents[i];

		content->end = content->end < buffer->length ? content->end : buffer->length;
		content->begin = content->begin < content->end ? content->begin : content->end;
	}
}

static void
trim_start(const char **bytes, size_t *length)
{
	size_t		width;

	while ((width = white_space_length(*bytes, *length)) > 0)
	{
		*bytes += width;
		*length -= width;
	}
}

/*
 * Bytes of the character of white space at the start of bytes[length], or 0.
 * White space is what Python's str.isspace() takes for it: Unicode's White_Space
 * and the separators U+001C to U+001F.
 */
static size_t
white_space_length(const char *bytes, size_t length)
{
	static const char *const wide[] = {
		"\xC2\x85", "\xC2\xA0", "\xE1\x9A\x80", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF",
		"\xE2\x81\x9F", "\xE3\x80\x80"
	};
	uint8_t		first;
	size_t		i;

	if (length == 0)
		return 0;
	first = (uint8_t) bytes[0];
	if (first < 0x80)
		return first == ' ' || (first >= 0x09 && first <= 0x0D) || (first >= 0x1C && first <= 0x1F);
	for (i = 0; i < sizeof(wide) / sizeof(wide[0]); i++)
	{
		size_t		width = strlen(wide[i]);

		if (width <= length && memcmp(bytes, wide[i], width) == 0)
			return width;
	}
	/* U+2000 to U+200A, the spaces of typography */
	if (length >= 3 && memcmp(bytes, "\xE2\x80", 2) == 0 &&
		(uint8_t) bytes[2] >= 0x80 && (uint8_t) bytes[2] <= 0x8A)
		return 3;
	return 0;
}
