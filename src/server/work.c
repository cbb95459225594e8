/*
 * work.c
 *		One call of a function as work for the model's worker: prompts to ask, and an answer made of
 *		theirs.
 */
#include "server/work.h"

#include "utils/memutils.h"

/* What Llama2Ask makes a prompt of. */
typedef struct ValueOfKind
{
	Llama2PromptKind kind;
	Datum		value;
} ValueOfKind;

static const Llama2Question *first_question(const Llama2Work *work);
static void take_seed(Llama2Work *work);
static Llama2Prompt prompt_of_value(const Llama2Call *call, const void *source);
static void wait_for_questions(const Llama2Work *work);
static void count_question(Llama2WorkCounts *counts, const Llama2Question *question);
static void question_spec(const Llama2Work *work, const Llama2Question *question, Llama2RequestSpec *spec);
static char *trouble_of_error(MemoryContext context);
static const Llama2Failure *failure_of(const Llama2Question *question);

void
Llama2WorkAllocate(Llama2Work *work, int n_questions)
{
	Llama2WorkEnd(work);
	work->n_submitted = 0;
	work->n_questions = n_questions;
	work->questions = palloc0(sizeof(Llama2Question) * (Size) Max(n_questions, 1));
}

void
Llama2Ask(Llama2Work *work, int number, Llama2PromptKind kind, Datum value)
{
	ValueOfKind source = {kind, PointerGetDatum(PG_DETOAST_DATUM_PACKED(value))};

	Llama2AskMade(work, number, prompt_of_value, &source);
}

/*
 * What is caught here comes from reading a value that is in memory already: it
 * leaves no lock, pin or reference behind.
 */
void
Llama2AskMade(Llama2Work *work, int number, Llama2PromptMaker make, const void *source)
{
	MemoryContext context = CurrentMemoryContext;
	Llama2Question *question = &work->questions[number];

	if (!work->call.options.null_on_error)
	{
		question->prompt = make(&work->call, source);
		return;
	}
	PG_TRY();
	{
		question->prompt = make(&work->call, source);
	}
	PG_CATCH();
	{
		question->trouble = trouble_of_error(context);
	}
	PG_END_TRY();
}

void
Llama2AskAlternatives(Llama2Work *work, int first, int n, Llama2PromptKind kind, Datum value)
{
	Llama2Ask(work, first, kind, value);
	for (int i = 1; i < n; i++)
	{
		work->questions[first + i].prompt = work->questions[first].prompt;
		work->questions[first + i].alternative = i;
	}
}

bool
Llama2IsAnswered(Llama2Work *work, int number)
{
	const Llama2Question *question = &work->questions[number];
	const Llama2Failure *failure = failure_of(question);
	const char *trouble = question->trouble;

	if (failure)
		trouble = failure->message;
	if (trouble == NULL)
		return question->request != NULL;
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("no answer: %s", trouble),
			 errdetail("NULL stands for it, as the option \"on_error\" says.")));
	return false;
}

bool
Llama2WorkSubmit(Llama2Work *work, Llama2Duplicates *duplicates, bool may_fail)
{
	for (; work->n_submitted < work->n_questions; work->n_submitted++)
	{
		Llama2Question *question = &work->questions[work->n_submitted];
		Llama2RequestSpec spec;

		if (question->prompt.ids == NULL)
			continue;
		question_spec(work, question, &spec);
		question->request = duplicates ? Llama2FindDuplicate(duplicates, &spec) : Llama2FindAnyDuplicate(&spec);
		question->is_duplicate = question->request != NULL;
		if (question->request == NULL)
		{
			question->request = Llama2RequestSubmit(&spec, may_fail);
			if (question->request == NULL)
				return false;
			if (duplicates)
				Llama2RememberRequest(duplicates, &spec, question->request);
		}
	}
	return true;
}

bool
Llama2WorkIsDone(const Llama2Work *work)
{
	if (work->n_submitted < work->n_questions)
		return false;
	for (int i = work->n_questions - 1; i >= 0; i--)
	{
		if (work->questions[i].request && !Llama2RequestIsDone(work->questions[i].request))
			return false;
	}
	return true;
}

int
Llama2WorkCountPending(const Llama2Work *work)
{
	int			n = 0;

	for (int i = 0; i < work->n_submitted; i++)
		n += work->questions[i].request && !Llama2RequestIsDone(work->questions[i].request);
	return n;
}

bool
Llama2WorkBeginRound(Llama2Work *work)
{
	if (work->next == NULL)
		return false;
	if (!Llama2WorkHasTrouble(work) && work->next(work))
		return true;
	work->next = NULL;
	return false;
}

bool
Llama2WorkHasTrouble(const Llama2Work *work)
{
	for (int i = 0; i < work->n_questions; i++)
	{
		if (work->questions[i].trouble || failure_of(&work->questions[i]))
			return true;
	}
	return false;
}

Datum
Llama2WorkAnswer(FunctionCallInfo fcinfo, Llama2Work *work, Llama2Duplicates *duplicates, Llama2AnswerFunction answer)
{
	Datum		value;

	Llama2WorkFinish(work, duplicates);
	fcinfo->isnull = false;
	value = answer(fcinfo, work);
	Llama2WorkEnd(work);
	return value;
}

bool
Llama2WorkIsReproducible(const Llama2Work *work)
{
	const Llama2Options *options = &work->call.options;

	return work->kind != LLM_GENERATE || options->seed_given || options->sampling.temperature == 0;
}

void
Llama2WorkDrawAhead(Llama2Work *work, Llama2Duplicates *duplicates)
{
	const Llama2Question *question = first_question(work);
	Llama2RequestSpec spec;

	if (question == NULL)
		return;
	question_spec(work, question, &spec);
	Llama2LeaveSeed(duplicates, &spec);
	work->call.options.seed_given = true;
}

void
Llama2WorkEnd(Llama2Work *work)
{
	for (int i = 0; i < work->n_questions; i++)
		count_question(&work->counts, &work->questions[i]);
	Llama2WorkRelease(work);
}

void
Llama2WorkFinish(Llama2Work *work, Llama2Duplicates *duplicates)
{
	do
	{
		(void) Llama2WorkSubmit(work, duplicates, false);
		wait_for_questions(work);
	} while (Llama2WorkBeginRound(work));
}

void
Llama2WorkRelease(Llama2Work *work)
{
	for (int i = 0; i < work->n_questions; i++)
	{
		if (work->questions[i].request)
			Llama2RequestRelease(work->questions[i].request);
		work->questions[i].request = NULL;
	}
}

Datum
Llama2CallAlone(FunctionCallInfo fcinfo, Llama2PrepareFunction prepare, Llama2AnswerFunction answer)
{
	Llama2Work	work = {0};

	Llama2RequirePreload();
	if (!prepare(fcinfo, &work))
		PG_RETURN_NULL();
	if (!Llama2WorkIsReproducible(&work))
		take_seed(&work);
	return Llama2WorkAnswer(fcinfo, &work, NULL, answer);
}

static const Llama2Question *
first_question(const Llama2Work *work)
{
	for (int i = 0; i < work->n_questions; i++)
	{
		if (work->questions[i].prompt.ids)
			return &work->questions[i];
	}
	return NULL;
}

/* One that was drawn ahead for this call, if there is one. */
static void
take_seed(Llama2Work *work)
{
	const Llama2Question *question = first_question(work);
	Llama2Options *options = &work->call.options;
	Llama2RequestSpec spec;

	if (question == NULL)
		return;
	question_spec(work, question, &spec);
	if (Llama2TakeSeed(&spec, &options->sampling.seed))
	{
		options->seed = (int64) options->sampling.seed;
		options->seed_given = true;
	}
}

/* Raises an error where one failed, unless that is to be NULL. */
static void
wait_for_questions(const Llama2Work *work)
{
	for (int i = 0; i < work->n_questions; i++)
	{
		Llama2Request *request = work->questions[i].request;

		if (request == NULL)
			continue;
		if (work->call.options.null_on_error)
			(void) Llama2RequestWait(request, PG_INT32_MAX);
		else
			(void) Llama2RequestFinish(request);
	}
}

/* Of a question that is done. */
static void
count_question(Llama2WorkCounts *counts, const Llama2Question *question)
{
	const Llama2RequestSlot *slot;

	if (question->request == NULL)
		return;
	if (question->is_duplicate)
	{
		counts->duplicates++;
		return;
	}
	slot = Llama2RequestSlotOf(question->request);
	counts->requests++;
	counts->prompt_tokens += slot->n_prompt;
	counts->cached_tokens += slot->n_cached;
	if (slot->kind == LLM_GENERATE)
		counts->completion_tokens += pg_atomic_read_u32((pg_atomic_uint32 *) &slot->n_results);
}

static Llama2Prompt
prompt_of_value(const Llama2Call *call, const void *source)
{
	const ValueOfKind *value = source;

	return Llama2CallPrompt(call, value->kind, value->value);
}

/* The request that a question makes. */
static void
question_spec(const Llama2Work *work, const Llama2Question *question, Llama2RequestSpec *spec)
{
	if (work->kind == LLM_GENERATE && !question->is_score)
	{
		Llama2CallSpec(&work->call, question->prompt, spec);
		spec->sampling.seed += question->alternative;
		return;
	}
	memset(spec, 0, sizeof(*spec));
	spec->model = work->call.model;
	spec->kind = question->is_score ? LLM_SCORE : work->kind;
	spec->prompt = question->prompt.ids;
	spec->n_prompt = question->prompt.n_ids;
	spec->score_from = question->score_from;
	spec->n_top = question->is_score ? work->call.options.top_logprobs : 0;
	spec->pooling = work->call.options.pooling;
	spec->normalize = work->call.options.normalize;
	spec->is_reproducible = true;
	llm_sampling_defaults(&spec->sampling);
}

/* The message of an error about the value; any other is raised again. */
static char *
trouble_of_error(MemoryContext context)
{
	ErrorData  *error;
	char	   *message;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION &&
		ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_PROGRAM_LIMIT_EXCEEDED &&
		error->sqlerrcode != ERRCODE_UNTRANSLATABLE_CHARACTER)
		PG_RE_THROW();
	message = pstrdup(error->message);
	FlushErrorState();
	FreeErrorData(error);
	return message;
}

/* Of a question that is done. */
static const Llama2Failure *
failure_of(const Llama2Question *question)
{
	if (question->request == NULL || !Llama2RequestFailed(question->request))
		return NULL;
	return &Llama2RequestSlotOf(question->request)->failure;
}
