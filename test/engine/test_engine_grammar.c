/*
 * test_engine_grammar.c
 *		Requests with grammars: complete texts, the same bits with drafts, in batches and when preempted.
 */
#include "engine/parse_states.h"
#include "engine_fixture.h"

#define N_JOBS 40

static const char *const sources[] = {
	"root ::= \"Once\" [^\\n]* \".\"",
	"root ::= \"{\" pair (\", \" pair)* \"}\"\npair ::= string \": \" (string | [0-9]+ | root)\nstring ::= \"\\\"\" [a-zA-Z ]* \"\\\"\"",
	"root ::= (sentence \" \")* sentence\nsentence ::= (\"Lily\" | \"Tom\") \" \" (\"saw\" | \"wanted\" | \"was\") \" \" [a-z]+ \".\"",
	"root ::= [^a]*",
	"root ::= \"yes\" | \"no\" | \"maybe\""
};

#define N_SOURCES ((int) (sizeof(sources) / sizeof(sources[0])))

static LlmGrammar *grammars[N_SOURCES];

static void
start_constrained_job(Job *job, int i)
{
	LlmSamplingOptions *sampling = &job->request.sampling;
	LlmGrammar *grammar = grammars[i % N_SOURCES];

	start_job(job, 12 + i * 29 % 120);
	set_prompt(job, 1 + i * 17 % 60, (uint64_t) (i % 4));
	job->request.keep_cached = true;
	job->request.session = (uint64_t) (i % 3);
	job->request.grammar = grammar;
	job->request.grammar_bytes = grammar->size;
	job->request.on_limit = i % 8 == 7 ? LLM_ON_LIMIT_ERROR : LLM_ON_LIMIT_CLOSE;
	job->request.strip_leading_space = i % 3 != 0;
	sampling->seed = (uint64_t) i;
	sampling->temperature = (float) (i % 4) * 0.4f;
	sampling->top_k = i % 5 == 1 ? 0 : 40;
	sampling->min_tokens = i % 6 == 5 ? 30 : 0;
	sampling->repeat_penalty = i % 7 == 3 ? 1.3f : 1;
}

static bool
is_complete(const Fixture *fixture, const Job *job)
{
	LlmParseStates *states = llm_parse_states_create(job->request.grammar);
	char		text[8 * MAX_IDS];
	size_t		length = job_text(fixture, job, text);
	LlmStateId	state = llm_parse_text(states, llm_parse_start(states), text, length);
	bool		complete = state >= 0 && llm_parse_may_end(states, state);

	/* an incomplete one is the beginning of a text, and told */
	if (job->request.finish == LLM_FINISH_INCOMPLETE)
		complete = state >= 0 && !complete && job->request.on_limit == LLM_ON_LIMIT_ERROR;
	if (!complete || length != job->request.text_bytes)
		diag("finish %d: %s", (int) job->request.finish, text);
	llm_parse_states_free(states);
	return complete && length == job->request.text_bytes;
}

/* so many at a time, in so many pages */
static void
run_jobs(const Fixture *fixture, Job *jobs, int n_at_once, int n_pages, bool speculation, LlmEngineStatistics *statistics)
{
	LlmEngineOptions options = engine_options(fixture, 1);
	LlmEngine  *engine;

	options.context_length = 256;
	options.max_sequences = n_at_once;
	options.speculation = speculation;
	options.prefix_cache = speculation;
	options.kv_bytes = (uint64_t) n_pages * PAGE_BYTES(fixture);
	engine = create_engine(fixture, &options);
	for (int i = 0; i < N_JOBS; i++)
	{
		start_constrained_job(&jobs[i], i);
		submit(engine, &jobs[i]);
		llm_engine_step(engine);
	}
	run_all(engine);
	llm_engine_statistics(engine, statistics);
	llm_engine_free(engine);
}

static void
test_same_bits(const Fixture *fixture)
{
	static const struct
	{
		int			n_at_once;
		int			n_pages;
		bool		speculation;
	}			ways[] = {{1, 64, true}, {3, 64, true}, {7, 64, true}, {16, 64, false}, {8, 9, true}, {16, 11, false}};
	Job		   *alone = calloc(N_JOBS, sizeof(Job));
	Job		   *together = calloc(N_JOBS, sizeof(Job));
	LlmEngineStatistics statistics;
	int			n_complete = 0;
	int			n_finished[8] = {0};

	run_jobs(fixture, alone, 1, 64, false, &statistics);
	for (int i = 0; i < N_JOBS; i++)
	{
		n_complete += is_complete(fixture, &alone[i]);
		n_finished[alone[i].request.finish]++;
	}
	ok(n_complete == N_JOBS && n_finished[LLM_FINISH_STOP] > 5 && n_finished[LLM_FINISH_LENGTH] > 5 &&
	   n_finished[LLM_FINISH_INCOMPLETE] > 0, "%d of %d texts are what their grammars allow (%d stopped, %d closed, %d told to be incomplete)",
	   n_complete, N_JOBS, n_finished[LLM_FINISH_STOP], n_finished[LLM_FINISH_LENGTH], n_finished[LLM_FINISH_INCOMPLETE]);
	for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++)
	{
		int			n_same = 0;

		run_jobs(fixture, together, ways[way].n_at_once, ways[way].n_pages, ways[way].speculation, &statistics);
		for (int i = 0; i < N_JOBS; i++)
			n_same += same_results(&alone[i], &together[i]);
		ok(n_same == N_JOBS && (statistics.accepted_tokens > 0) == ways[way].speculation &&
		   (statistics.preemptions > 0) == (ways[way].n_pages < 20),
		   "%d at once in %d pages: %d of %d the same (%d drafted tokens accepted, %d preempted)", ways[way].n_at_once, ways[way].n_pages,
		   n_same, N_JOBS, (int) statistics.accepted_tokens, (int) statistics.preemptions);
	}
	free(alone);
	free(together);
}

static void
test_no_change(const Fixture *fixture)
{
	static const char anything[] = "root ::= .*";
	LlmEngineOptions options = engine_options(fixture, 2);
	LlmEngine  *engine = create_engine(fixture, &options);
	LlmError	error = {0};
	LlmGrammar *grammar = llm_grammar_from_gbnf(anything, strlen(anything), &error);
	Job			job;

	start_story(&job, STORY_TOKENS);
	job.request.grammar = grammar;
	job.request.grammar_bytes = grammar->size;
	submit(engine, &job);
	run_all(engine);
	ok(text_is(fixture, &job, story, strlen(story)) && job.request.n_results == STORY_TOKENS, "a grammar that allows anything changes nothing");
	free(grammar);
	llm_engine_free(engine);
}

static void
test_refused(const Fixture *fixture)
{
	LlmEngineOptions options = engine_options(fixture, 1);
	LlmEngine  *engine = create_engine(fixture, &options);
	LlmGrammar *damaged = malloc(grammars[0]->size);
	LlmError	error = {0};
	Job			job;

	start_constrained_job(&job, 4);
	job.request.max_tokens = 1;
	job.request.grammar = grammars[0];
	job.request.grammar_bytes = grammars[0]->size;
	ok(!llm_engine_submit(engine, &job.request, &error) && error.code == LLM_ERROR_ARGUMENT &&
	   strcmp(error.message, "the shortest text that the grammar allows, of 5 bytes, does not fit 1 tokens") == 0, "%s", error.message);
	memcpy(damaged, grammars[0], grammars[0]->size);
	((LlmGrammarOp *) ((char *) damaged + damaged->ops_offset))[0].next = 1u << 30;
	((LlmGrammarOp *) ((char *) damaged + damaged->ops_offset))[0].kind = LLM_OP_SPLIT;
	job.request.max_tokens = 20;
	job.request.grammar = damaged;
	ok(!llm_engine_submit(engine, &job.request, &error) && strcmp(error.message, "a request's grammar is damaged") == 0, "%s", error.message);
	ok(is_idle(engine), "nothing is left of them");
	free(damaged);
	llm_engine_free(engine);
}

/* A grammar that reads the same text in very many ways does not hold others up. */
static void
test_too_slow(const Fixture *fixture)
{
	static const char ambiguous[] =
	"((.*a.*e.*i.*o.*u.*){0,99}|(.*t.*n.*s.*r.*){0,99}|(.*h.*d.*l.*m.*){0,99}|(.{0,99}){0,99}){0,99}!";
	LlmEngineOptions options = engine_options(fixture, 1);
	LlmEngine  *engine = create_engine(fixture, &options);
	LlmError	error = {0};
	LlmGrammar *grammar = llm_grammar_from_regex(ambiguous, strlen(ambiguous), &error);
	Job			job;
	Job			other;

	start_constrained_job(&job, 4);
	job.request.max_tokens = 60;
	job.request.grammar = grammar;
	job.request.grammar_bytes = grammar->size;
	submit(engine, &job);
	start_story(&other, STORY_TOKENS);
	submit(engine, &other);
	run_all(engine);
	ok(job.request.finish == LLM_FINISH_FAILED && job.request.failure.code == LLM_ERROR_LIMIT &&
	   strcmp(job.request.failure.message, "the grammar takes more work for a token than it may") == 0, "%s", job.request.failure.message);
	ok(text_is(fixture, &other, story, strlen(story)) && is_idle(engine), "the other request goes on");
	free(grammar);
	llm_engine_free(engine);
}

/* In the middle of a text. */
static void
test_cancel(const Fixture *fixture)
{
	LlmEngineOptions options = engine_options(fixture, 1);
	LlmEngine  *engine = create_engine(fixture, &options);
	Job			job;

	start_constrained_job(&job, 3);
	submit(engine, &job);
	for (int i = 0; i < 3; i++)
		llm_engine_step(engine);
	job.cancel = 1;
	run_all(engine);
	ok(job.request.finish == LLM_FINISH_CANCELLED && is_idle(engine), "a constrained request is cancelled");
	start_constrained_job(&job, 3);
	submit(engine, &job);
	llm_engine_step(engine);
	llm_engine_free(engine);
	ok(true, "an engine goes with its constrained requests");
}

int
main(void)
{
	Fixture		fixture;
	LlmError	error = {0};

	for (int i = 0; i < N_SOURCES; i++)
	{
		grammars[i] = llm_grammar_from_gbnf(sources[i], strlen(sources[i]), &error);
		if (grammars[i] == NULL)
			diag("%s", error.message);
	}
	if (!load_fixture(&fixture, STORIES))
	{
		skip("the fixtures are not here");
		return done_testing();
	}
	test_same_bits(&fixture);
	test_no_change(&fixture);
	test_refused(&fixture);
	test_too_slow(&fixture);
	test_cancel(&fixture);
	free_fixture(&fixture);
	for (int i = 0; i < N_SOURCES; i++)
		free(grammars[i]);
	return done_testing();
}
