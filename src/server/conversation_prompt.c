/*
 * conversation_prompt.c
 *		What of a conversation is in the prompt of its next turn.
 *
 * A prompt that begins as the one before is found in the prefix cache, and only the new turn is computed.  When
 * the context is full, that ends once; so the oldest turns go until half of the room for turns is free, and the
 * next ones are appended again.
 */
#include "server/conversation_prompt.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "server/parameters.h"
#include "server/summarize.h"
#include "server/text_output.h"
#include "shared/compat.h"

#define SUMMARY_BEGIN "Summary of the conversation so far: "
/* Tokens that a summary may have: this share of the context, and not less than that. */
#define SUMMARY_SHARE 8
#define SHORTEST_SUMMARY 16

static void make_room(const Llama2Call *call, Llama2Conversation *conversation, int limit, Llama2PromptParts *parts,
					  text **new_summary);
static int	fewest_dropped(const Llama2Call *call, const Llama2PromptParts *parts, int n_tokens);
static int	count_tokens(const Llama2Call *call, const Llama2PromptParts *parts);
static text *summarize(const Llama2Call *call, text *summary, text *const *texts, int n_texts, int max_tokens);
static text *system_with_summary(const Llama2Conversation *conversation);
static void notice_dropped(const Llama2Call *call, const Llama2Conversation *conversation, int n_dropped);

void
Llama2ConversationFit(const Llama2Call *call, Llama2Conversation *conversation, text *message,
					  Llama2PromptParts *parts, text **new_summary)
{
	int			context_length = Llama2ContextLength(call);
	int			limit = context_length - Min(call->options.max_tokens, context_length / 2);
	int			n_texts = Llama2ConversationTexts(conversation, &parts->texts);

	*new_summary = NULL;
	parts->texts[n_texts] = message;
	parts->n_texts = n_texts + 1;
	parts->system = system_with_summary(conversation);
	if (count_tokens(call, parts) > limit)
		make_room(call, conversation, limit, parts, new_summary);
}

Llama2Prompt
Llama2PromptFromParts(const Llama2Call *call, const void *source)
{
	const Llama2PromptParts *parts = source;
	Llama2Prompt prompt = Llama2PromptFromTurns(call->model, parts->system, parts->texts, parts->n_texts);

	Llama2CheckPromptFits(call, prompt.n_ids);
	return prompt;
}

static void
make_room(const Llama2Call *call, Llama2Conversation *conversation, int limit, Llama2PromptParts *parts,
		  text **new_summary)
{
	int			context_length = Llama2ContextLength(call);
	int			n_turns = parts->n_texts / 2;
	Llama2PromptParts bare = {conversation->system, parts->texts + 2 * n_turns, 1};
	int			n_bare = count_tokens(call, &bare);
	bool		summarizes = conversation->on_full == LLAMA2_FULL_SUMMARIZE;
	int			n_summary = summarizes ? Max(context_length / SUMMARY_SHARE, SHORTEST_SUMMARY) : 0;
	int			n_dropped;

	if (n_turns > 0 && n_bare < context_length)
	{
		if (conversation->on_full == LLAMA2_FULL_ERROR)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("conversation %s no longer fits the context of %d tokens of model \"%s\"",
							conversation->label, context_length, call->model->name),
					 errhint("llama2_conversation_forget() leaves turns out of the prompt, and so does \"on_full\" with "
							 "\"drop\" or \"summarize\".")));
		bare.texts = parts->texts;
		bare.n_texts = parts->n_texts;
		n_dropped = fewest_dropped(call, &bare, n_bare + Max(limit - n_bare - n_summary, 0) / 2);
		if (summarizes)
			conversation->summary = *new_summary =
				summarize(call, conversation->summary, parts->texts, 2 * n_dropped, Min(n_summary, llama2_max_tokens_limit));
		notice_dropped(call, conversation, n_dropped);
		conversation->first_turn += n_dropped;
		parts->texts += 2 * n_dropped;
		parts->n_texts -= 2 * n_dropped;
		parts->system = system_with_summary(conversation);
	}
	/* a message that fits without the summary only is answered without it */
	if (count_tokens(call, parts) >= context_length)
		parts->system = conversation->system;
}

/* How many turns must go, one at least, until no more than so many tokens are left. */
static int
fewest_dropped(const Llama2Call *call, const Llama2PromptParts *parts, int n_tokens)
{
	int			low = 1;
	int			high = parts->n_texts / 2;

	while (low < high)
	{
		int			middle = (low + high) / 2;
		Llama2PromptParts rest = {parts->system, parts->texts + 2 * middle, parts->n_texts - 2 * middle};

		if (count_tokens(call, &rest) <= n_tokens)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Of a prompt that is too long whatever its tokens are it returns a number above the context length. */
static int
count_tokens(const Llama2Call *call, const Llama2PromptParts *parts)
{
	Llama2Prompt prompt;
	size_t		length = 0;
	size_t		one;

	if (parts->system)
		(void) Llama2Utf8FromText(parts->system, &length);
	for (int i = 0; i < parts->n_texts; i++)
	{
		(void) Llama2Utf8FromText(parts->texts[i], &one);
		length = add_size(length, one);
	}
	if (!Llama2TextMayFit(call->model, length))
		return PG_INT32_MAX;
	prompt = Llama2PromptFromTurns(call->model, parts->system, parts->texts, parts->n_texts);
	pfree(prompt.ids);
	return prompt.n_ids;
}

/* Turns, and the summary of those before them, in at most max_tokens; the same for the same turns. */
static text *
summarize(const Llama2Call *call, text *summary, text *const *texts, int n_texts, int max_tokens)
{
	Llama2Settings settings = {.chat = true, .model = pstrdup(call->model->name)};
	char	   *options = psprintf("{\"temperature\": 0, \"max_tokens\": %d}", max_tokens);
	StringInfoData source;

	settings.options = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(options)));
	initStringInfo(&source);
	if (summary)
		appendStringInfo(&source, "%s\n\n", text_to_cstring(summary));
	for (int i = 0; i < n_texts; i++)
		appendStringInfo(&source, "%s: %s\n\n", i % 2 == 0 ? "User" : "Assistant", text_to_cstring(texts[i]));
	return Llama2SummarizeText(&settings, source.data);
}

/* System instructions hold over all turns; a summary stands behind them. */
static text *
system_with_summary(const Llama2Conversation *conversation)
{
	if (conversation->summary == NULL || VARSIZE_ANY_EXHDR(conversation->summary) == 0)
		return conversation->system;
	return cstring_to_text(psprintf("%s%s" SUMMARY_BEGIN "%s",
									conversation->system ? text_to_cstring(conversation->system) : "",
									conversation->system ? "\n\n" : "", text_to_cstring(conversation->summary)));
}

static void
notice_dropped(const Llama2Call *call, const Llama2Conversation *conversation, int n_dropped)
{
	int			first = conversation->first_turn;
	char	   *which = n_dropped == 1 ? psprintf("turn %d is", first) :
		psprintf("turns %d to %d are", first, first + n_dropped - 1);

	ereport(NOTICE,
			(errmsg("conversation %s no longer fits the context of %d tokens: %s %s", conversation->label,
					Llama2ContextLength(call), which,
					conversation->on_full == LLAMA2_FULL_SUMMARIZE ? "summarized in its prompts" : "left out of its prompts"),
			 errdetail("The view llama2_turns still has all turns.")));
}
