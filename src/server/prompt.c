/*
 * prompt.c
 *		From SQL values to the token ids of a prompt.
 */
#include "server/prompt.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "server/text_output.h"
#include "text/tokenize.h"

static size_t cut_text(const Llama2Model *model, const char *utf8, size_t length);
static Llama2Prompt prompt_from_messages(const Llama2Model *model, const LlmChatMessage *messages,
										 int n_messages, int n_given);
static LlmChatMessage read_message(JsonbIterator **iterator, int number);
static LlmChatRole read_role(const char *role, int number);
static LlmChatMessage message_from_text(LlmChatRole role, text *content);
pg_noreturn static void malformed_message(int number, const char *problem);

Llama2Prompt
Llama2PromptFromText(const Llama2Model *model, text *value)
{
	size_t		length;
	const char *utf8 = Llama2Utf8FromText(value, &length);

	Llama2CheckTextLength(model, length);
	return Llama2Tokenize(model, utf8, length, llm_vocabulary_adds_bos(model->vocabulary), NULL);
}

Llama2Prompt
Llama2PromptToEmbed(const Llama2Model *model, text *value, bool truncate)
{
	size_t		length;
	const char *utf8 = Llama2Utf8FromText(value, &length);
	Llama2Prompt prompt;

	if (length == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("text to embed must not be empty")));
	if (truncate)
		length = cut_text(model, utf8, length);
	else
		Llama2CheckTextLength(model, length);
	prompt = Llama2Tokenize(model, utf8, length, llm_vocabulary_adds_bos(model->vocabulary), NULL);
	if (prompt.n_ids > model->context_length && !truncate)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("text of %d tokens does not fit the context of %d tokens of model \"%s\"",
						prompt.n_ids, model->context_length, model->name),
				 errhint("Shorten the text, or set the option \"truncate\" to embed its beginning.")));
	prompt.n_ids = Min(prompt.n_ids, model->context_length);
	return prompt;
}

Llama2Prompt
Llama2PromptFromMessage(const Llama2Model *model, text *message, text *system)
{
	LlmChatMessage messages[2];
	int			n_messages = 0;

	if (system)
		messages[n_messages++] = message_from_text(LLM_ROLE_SYSTEM, system);
	messages[n_messages++] = message_from_text(LLM_ROLE_USER, message);
	return prompt_from_messages(model, messages, n_messages, 1);
}

Llama2Prompt
Llama2PromptFromMessages(const Llama2Model *model, Jsonb *json, text *system)
{
	int			n_items;
	int			n_messages = 0;
	LlmChatMessage *messages;
	JsonbIterator *iterator;
	JsonbValue	value;

	if (!JB_ROOT_IS_ARRAY(json) || JB_ROOT_IS_SCALAR(json))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("messages must be a JSON array"),
				 errhint("For example: [{\"role\": \"user\", \"content\": \"Hello\"}]")));
	n_items = JB_ROOT_COUNT(json);
	messages = palloc(sizeof(LlmChatMessage) * ((Size) n_items + 1));
	if (system)
		messages[n_messages++] = message_from_text(LLM_ROLE_SYSTEM, system);

	iterator = JsonbIteratorInit(&json->root);
	(void) JsonbIteratorNext(&iterator, &value, false);
	for (int i = 0; i < n_items; i++)
	{
		if (JsonbIteratorNext(&iterator, &value, false) != WJB_BEGIN_OBJECT)
			malformed_message(i + 1, "is not an object");
		messages[n_messages] = read_message(&iterator, i + 1);
		if (system && messages[n_messages].role == LLM_ROLE_SYSTEM)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a system message is given twice"),
					 errdetail("Both the argument \"system\" and message %d give one.", i + 1)));
		n_messages++;
	}
	return prompt_from_messages(model, messages, n_messages, n_items);
}

Llama2Prompt
Llama2PromptFromTurns(const Llama2Model *model, text *system, text *const *texts, int n_texts)
{
	LlmChatMessage *messages = palloc(sizeof(LlmChatMessage) * ((Size) n_texts + 1));
	int			n_messages = 0;

	if (system)
		messages[n_messages++] = message_from_text(LLM_ROLE_SYSTEM, system);
	for (int i = 0; i < n_texts; i++)
		messages[n_messages++] = message_from_text(i % 2 == 0 ? LLM_ROLE_USER : LLM_ROLE_ASSISTANT, texts[i]);
	return prompt_from_messages(model, messages, n_messages, n_messages);
}

bool
Llama2TextMayFit(const Llama2Model *model, size_t length)
{
	return length <= (size_t) model->context_length * llm_vocabulary_max_token_bytes(model->vocabulary);
}

void
Llama2CheckTextLength(const Llama2Model *model, size_t length)
{
	if (!Llama2TextMayFit(model, length))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("text of %zu bytes does not fit the context of %d tokens of model \"%s\"",
						length, model->context_length, model->name),
				 errdetail("A token of this model has at most %u bytes.",
						   llm_vocabulary_max_token_bytes(model->vocabulary))));
}

Llama2Prompt
Llama2Tokenize(const Llama2Model *model, const char *utf8, size_t length, bool with_bos,
			   size_t **offsets)
{
	Llama2Prompt prompt;
	LlmError	error = {0};
	size_t		bound = llm_tokenize_bound(length);
	size_t		n_ids;

	prompt.ids = MemoryContextAllocHuge(CurrentMemoryContext, mul_size(bound, sizeof(int32)));
	if (offsets)
		*offsets = MemoryContextAllocHuge(CurrentMemoryContext, mul_size(bound, sizeof(size_t)));
	if (!llm_tokenize_with_offsets(model->vocabulary, utf8, length, with_bos, prompt.ids,
								   offsets ? *offsets : NULL, &n_ids, &error))
		Llama2RaiseEngineError(&error);
	prompt.n_ids = (int32) n_ids;
	return prompt;
}

void
Llama2RaiseEngineError(const LlmError *error)
{
	ereport(ERROR,
			(errcode(error->code == LLM_ERROR_OUT_OF_MEMORY ? ERRCODE_OUT_OF_MEMORY :
					 ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", error->message),
			 error->hint[0] ? errhint("%s", error->hint) : 0));
}

/* Leave twice of what the context can hold, so that no token that counts is another for the cut. */
static size_t
cut_text(const Llama2Model *model, const char *utf8, size_t length)
{
	size_t		longest = 2 * (size_t) model->context_length * llm_vocabulary_max_token_bytes(model->vocabulary);

	if (length <= longest)
		return length;
	while (longest > 0 && (utf8[longest] & 0xC0) == 0x80)
		longest--;
	return longest;
}

/*
 * The last n_given messages are the user's own, counted from 1 in errors; a system message
 * before them came as an argument.
 */
static Llama2Prompt
prompt_from_messages(const Llama2Model *model, const LlmChatMessage *messages, int n_messages,
					 int n_given)
{
	Llama2Prompt prompt;
	LlmError	error = {0};
	size_t		length = 0;
	size_t		n_ids;

	if (!llm_chat_check(messages + n_messages - n_given, n_given, &error))
		Llama2RaiseEngineError(&error);
	for (int i = 0; i < n_messages; i++)
		length += messages[i].length;
	Llama2CheckTextLength(model, length);
	prompt.ids = MemoryContextAllocHuge(CurrentMemoryContext,
										mul_size(llm_chat_bound(messages, n_messages), sizeof(int32)));
	if (!llm_chat_tokenize(model->vocabulary, messages, n_messages, true, prompt.ids, &n_ids, &error))
		Llama2RaiseEngineError(&error);
	prompt.n_ids = (int32) n_ids;
	return prompt;
}

/* The iterator stands after the object's beginning. */
static LlmChatMessage
read_message(JsonbIterator **iterator, int number)
{
	LlmChatMessage message = {0};
	bool		has_role = false;
	bool		has_content = false;
	JsonbValue	value;

	while (JsonbIteratorNext(iterator, &value, true) == WJB_KEY)
	{
		char	   *key = pnstrdup(value.val.string.val, value.val.string.len);
		char	   *content;

		(void) JsonbIteratorNext(iterator, &value, true);
		if (strcmp(key, "role") != 0 && strcmp(key, "content") != 0)
			malformed_message(number, psprintf("has an unknown key \"%s\"", key));
		if (value.type != jbvString)
			malformed_message(number, psprintf("has a \"%s\" that is not a string", key));
		content = pnstrdup(value.val.string.val, value.val.string.len);
		if (strcmp(key, "role") == 0)
		{
			message.role = read_role(content, number);
			has_role = true;
		}
		else
		{
			message.content = pg_server_to_any(content, strlen(content), PG_UTF8);
			message.length = strlen(message.content);
			has_content = true;
		}
	}
	if (!has_role)
		malformed_message(number, "has no \"role\"");
	if (!has_content)
		malformed_message(number, "has no \"content\"");
	return message;
}

static LlmChatRole
read_role(const char *role, int number)
{
	if (strcmp(role, "system") == 0)
		return LLM_ROLE_SYSTEM;
	if (strcmp(role, "user") == 0)
		return LLM_ROLE_USER;
	if (strcmp(role, "assistant") == 0)
		return LLM_ROLE_ASSISTANT;
	malformed_message(number, psprintf("has an unknown role \"%s\"", role));
}

static LlmChatMessage
message_from_text(LlmChatRole role, text *content)
{
	LlmChatMessage message;

	message.role = role;
	message.content = Llama2Utf8FromText(content, &message.length);
	return message;
}

static void
malformed_message(int number, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("message %d %s", number, problem),
			 errhint("Each message is an object with a \"role\" (system, user or assistant) and a \"content\".")));
}
