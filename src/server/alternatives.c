/*
 * alternatives.c
 *		Several texts for one prompt, and which of them is the best.
 */
#include "server/alternatives.h"

#include <math.h>

#include "utils/fmgrprotos.h"

#include "server/generate_batch.h"

static bool has_answer(const Llama2Question *question);

void
Llama2AskForOne(Llama2Work *work, Llama2PromptKind kind, Datum prompt)
{
	const Llama2Options *options = &work->call.options;
	int			n = Llama2CountAlternatives(work);
	bool		scores = options->echo && (options->logprobs || options->top_logprobs > 0);

	work->kind = LLM_GENERATE;
	work->state = DatumGetPointer(prompt);
	Llama2WorkAllocate(work, n + scores);
	Llama2AskAlternatives(work, 0, n, kind, prompt);
	/* BOS has nothing before it */
	if (scores && work->questions[0].prompt.n_ids > 1)
	{
		work->questions[n].prompt = work->questions[0].prompt;
		work->questions[n].score_from = 1;
		work->questions[n].is_score = true;
	}
}

const Llama2Request *
Llama2EchoScores(const Llama2Work *work)
{
	int			n = Llama2CountAlternatives(work);

	return work->n_questions > n && has_answer(&work->questions[n]) ? work->questions[n].request : NULL;
}

text *
Llama2AlternativeText(const Llama2Work *work, int number, Datum prompt)
{
	text	   *answer = Llama2DoneText(work->call.model, work->questions[number].request);

	if (!work->call.options.echo)
		return answer;
	return DatumGetTextPP(DirectFunctionCall2(textcat, prompt, PointerGetDatum(answer)));
}

double
Llama2MeanLogprob(const Llama2Request *request)
{
	const LlmTokenResult *results = Llama2RequestResults(request);
	int32		n_results = (int32) pg_atomic_read_u32((pg_atomic_uint32 *) &Llama2RequestSlotOf(request)->n_results);
	double		sum = 0;

	for (int32 i = 0; i < n_results; i++)
		sum += results[i].logprob;
	return n_results > 0 ? sum / n_results : -INFINITY;
}

int
Llama2BestAlternative(const Llama2Work *work, int first, int n)
{
	int			best = first;

	for (int i = first + 1; i < first + n; i++)
		if (Llama2IsBetterAlternative(work, i, best))
			best = i;
	return best;
}

bool
Llama2IsBetterAlternative(const Llama2Work *work, int a, int b)
{
	if (!has_answer(&work->questions[a]))
		return false;
	if (!has_answer(&work->questions[b]))
		return true;
	return Llama2MeanLogprob(work->questions[a].request) > Llama2MeanLogprob(work->questions[b].request);
}

static bool
has_answer(const Llama2Question *question)
{
	return question->request && !Llama2RequestFailed(question->request);
}
