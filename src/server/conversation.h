/*
 * conversation.h
 *		Conversations as their tables keep them: found, locked, read, continued.
 */
#ifndef LLAMA2_CONVERSATION_H
#define LLAMA2_CONVERSATION_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/jsonb.h"

#include "shared/compat.h"

/* What to do with the oldest turns when the context is full. */
typedef enum Llama2OnFull
{
	LLAMA2_FULL_DROP,
	LLAMA2_FULL_SUMMARIZE,
	LLAMA2_FULL_ERROR
} Llama2OnFull;

/* Which one is meant. */
typedef struct Llama2ConversationKey
{
	Oid			schema;			/* of the extension */
	const char *name;			/* one of the current user's, or NULL: by id */
	int64		id;
} Llama2ConversationKey;

typedef struct Llama2Conversation
{
	Oid			schema;
	int64		id;
	char	   *label;			/* for messages: its name in quotes, or its id */
	text	   *system;			/* NULL: none */
	char	   *model;			/* NULL: llama2.model */
	Jsonb	   *options;		/* NULL: none */
	Llama2OnFull on_full;
	int32		turns;			/* so many there are */
	int32		first_turn;		/* the oldest that is in the prompt */
	text	   *summary;		/* of those before it; NULL: none */
} Llama2Conversation;

/* A turn's answer, and how it came about. */
typedef struct Llama2Turn
{
	text	   *message;
	text	   *answer;
	const char *model;
	int64		seed;
	const char *finish_reason;
	text	   *new_summary;	/* that was made for this turn; NULL: none was */
	int32		prompt_tokens;
	int32		cached_tokens;
	int32		completion_tokens;
} Llama2Turn;

/* An argument, not null, of type bigint (by_id) or text: digits are an id, anything else is a name. */
extern Llama2ConversationKey Llama2ConversationArgument(FunctionCallInfo fcinfo, int argument, bool by_id);

/* Raise an error where nothing can be written; what is the function's name. */
extern void Llama2ConversationCheckWritable(const char *what);

/* Insert one of the current user; false where he has one of that name.  Of it name, system, model and options are read. */
extern bool Llama2ConversationInsert(Oid schema, const char *name, text *system, const char *model, Jsonb *options,
									 const char *on_full, int64 *id);

/*
 * Find a conversation that the current user may see, and lock it until the end of the transaction: who else
 * goes on with it waits.  False where there is none.
 */
extern bool Llama2ConversationLock(const Llama2ConversationKey *key, Llama2Conversation *conversation);

/* There is none: an error. */
pg_noreturn extern void Llama2ConversationMissing(const Llama2ConversationKey *key);

/* Messages and answers in turn from the turn first_turn on, with room for one more; returns how many texts. */
extern int	Llama2ConversationTexts(const Llama2Conversation *conversation, text ***texts);

/* Add a turn to a conversation that is locked, and keep its first_turn and summary. */
extern void Llama2ConversationAddTurn(const Llama2Conversation *conversation, const Llama2Turn *turn);

/* Keep first_turn and summary of one that is locked. */
extern void Llama2ConversationUpdate(const Llama2Conversation *conversation);

extern void Llama2ConversationDelete(const Llama2Conversation *conversation);

#endif							/* LLAMA2_CONVERSATION_H */
