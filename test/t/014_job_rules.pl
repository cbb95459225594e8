# What a job may do, what becomes of it when things change, and whom its worker is in the way of.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IPC::Run;
use Llama2Server;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RawClient;
use Test::More;
use Time::HiRes qw(sleep time);

my ($status, $out, $err);
my $node = llama2_server(
	'rules',
	'llama2.job_retry_delay' => '50ms',
	'llama2.job_retries' => 2,
	'max_prepared_transactions' => 2);

sub sql
{
	my ($sql, $database) = @_;
	return $node->safe_psql($database // 'postgres', $sql);
}

sub wait_for
{
	my ($condition, $what, $database) = @_;
	ok($node->poll_query_until($database // 'postgres', "SELECT $condition"), $what);
	return;
}

sub pause { set_workers(0); $node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'llama2 job worker'}); return; }
sub resume { set_workers($_[0] // 2); return; }

sub set_workers
{
	sql("ALTER SYSTEM SET llama2.job_workers = $_[0]");
	sql('SELECT pg_reload_conf()');
	return;
}

sql(q{
	CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN;
	CREATE TABLE notes (id int PRIMARY KEY, body text, summary text);
	CREATE TRIGGER summarize AFTER INSERT OR UPDATE ON notes FOR EACH ROW
		EXECUTE FUNCTION llama2_enrich_async('summary', 'Summarize: {body}', 'max_tokens=40', 'temperature=0');
	GRANT INSERT ON notes TO bob;
	GRANT SELECT, INSERT, UPDATE ON notes TO alice;
});
my $kettle = 'My kettle leaks water. Please send me a replacement. Regards, Ana Lopez, Lisbon';
my $summary = 'Ana Lopez says that the kettle leaks water and asks for a replacement.';

# Rights: those of whoever inserted
sql("SET ROLE alice; INSERT INTO notes (id, body) VALUES (1, '$kettle')");
wait_for("summary = '$summary' FROM notes WHERE id = 1", 'a job writes with the rights of its owner');
sql("SET ROLE bob; INSERT INTO notes (id, body) VALUES (2, '$kettle')");
wait_for(q{state = 'failed' FROM llama2_jobs}, 'and cannot do what its owner cannot');
is(sql('SELECT owner, error FROM llama2_jobs'), 'bob|permission denied for table notes', 'the reason is kept');
is(sql('SELECT summary IS NULL FROM notes WHERE id = 2'), 't', 'nothing was written');
is(sql('SET ROLE alice; SELECT count(*) FROM llama2_jobs'), '0', 'others do not see it');
is(sql('SET ROLE alice; SELECT count(*) FROM llama2_job'), '0', 'nor the row of the table');
is(sql('SET ROLE bob; SELECT count(*) FROM llama2_jobs'), '1', 'its owner does');
sql('DELETE FROM llama2_job');

# Row security applies to what the worker does
sql(q{ALTER TABLE notes ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON notes FOR ALL TO alice USING (body NOT LIKE 'Hidden%') WITH CHECK (true)});
sql("SET ROLE alice; INSERT INTO notes (id, body) VALUES (3, 'Hidden: $kettle')");
wait_for('count(*) = 0 FROM llama2_jobs', 'a row that its owner cannot see any more ends its job');
is(sql('SELECT summary IS NULL FROM notes WHERE id = 3'), 't', 'without a summary');
sql('ALTER TABLE notes DISABLE ROW LEVEL SECURITY');

# A trigger of the table runs as the owner, restricted, and cannot keep settings
sql(q{
	CREATE TABLE seen (who name, path text);
	GRANT INSERT ON seen TO alice;
	CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO seen VALUES (current_user, current_setting('search_path'));
		SET search_path = nowhere;
		BEGIN
			RESET ROLE;
		EXCEPTION WHEN OTHERS THEN
			INSERT INTO public.seen VALUES (current_user, SQLSTATE);
		END;
		RETURN NEW;
	END $$;
	CREATE TRIGGER spy BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION spy();
	CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES (current_user, 'deferred'); RETURN NULL; END $$;
	CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON notes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late();
});
sql(q{ALTER FUNCTION spy() SET search_path = public});
sql("SET ROLE alice; INSERT INTO notes (id, body) VALUES (4, '$kettle'), (5, '$kettle')");
wait_for("count(*) = 2 FROM notes WHERE id IN (4, 5) AND summary = '$summary'", 'triggers of the table run');
is(sql(q{SELECT DISTINCT who, path FROM seen ORDER BY path}), "alice|42501\nalice|deferred\nalice|public",
	'as the owner, even deferred ones, and cannot become somebody else');
sql('DROP TRIGGER spy ON notes; DROP TRIGGER late ON notes');

# A prompt that changes after it was queued, a row that is deleted, a value that somebody sets
pause();
sql("INSERT INTO notes (id, body) VALUES (10, 'Something else.'), (11, '$kettle'), (12, '$kettle')");
sql("UPDATE notes SET body = '$kettle' WHERE id = 10; DELETE FROM notes WHERE id = 11");
is(sql(q{SELECT state, rows, relation, "column" FROM llama2_jobs ORDER BY id}), "queued|3|notes|summary\nqueued|1|notes|summary",
	'rows of one transaction are one job until it is taken apart');
resume();
wait_for('count(*) = 0 FROM llama2_jobs', 'their jobs end');
is(sql('SELECT id, summary FROM notes WHERE id >= 10 ORDER BY id'), "10|$summary\n12|$summary", 'the summaries are those of the rows as they are now');

# A value that somebody sets while the job waits is theirs, whether there was one before or not
pause();
sql("INSERT INTO notes (id, body) VALUES (13, '$kettle'); INSERT INTO notes (id, body) VALUES (14, '$kettle'), (15, '$kettle')");
sql("UPDATE notes SET body = body || ' Thanks.', summary = summary WHERE id IN (10, 12)");
sql("UPDATE notes SET summary = 'mine' WHERE id IN (10, 13, 15)");
resume();
wait_for('count(*) = 0 FROM llama2_jobs', 'their jobs end');
is(sql('SELECT id, summary FROM notes WHERE id IN (10, 13, 14, 15) ORDER BY id'), "10|mine\n13|mine\n14|$summary\n15|mine", 'what was set is kept');
is(sql(q{SELECT summary = llama2_chat('Summarize: ' || body, max_tokens => 40, temperature => 0) FROM notes WHERE id = 12}), 't', 'what was old is not');
sql("UPDATE notes SET body = '$kettle', summary = NULL WHERE id IN (10, 12)");
wait_for("count(*) = 2 FROM notes WHERE id IN (10, 12) AND summary = '$summary'", 'and generated again where it was taken away');
pause();
sql("UPDATE notes SET body = body || ' Bye.' WHERE id = 10");
sql('UPDATE notes SET summary = NULL WHERE id = 10');
resume();
wait_for('summary IS NOT NULL FROM notes WHERE id = 10', 'nor is one that is taken away while the job waits the last word');
sql("UPDATE notes SET body = '$kettle', summary = '$summary' WHERE id = 10");
sql('DELETE FROM notes WHERE id IN (13, 14, 15)');

# A value that reads otherwise with the worker's settings is the same value
sql(q{
	CREATE TABLE moments (id int PRIMARY KEY, body text, at timestamptz, bytes bytea);
	INSERT INTO moments VALUES (1, 'x', '2001-02-03 04:05:06+00', '\x00ff');
	CREATE TRIGGER at AFTER UPDATE OF body ON moments FOR EACH ROW
		EXECUTE FUNCTION llama2_enrich_async('at', '{body}', 'max_tokens=5');
});
pause();
sql(q{SET TimeZone = 'Asia/Tokyo'; UPDATE moments SET body = 'y'});
resume();
wait_for(q{count(*) = 1 FROM llama2_jobs WHERE state = 'failed' AND error LIKE '%timestamp%'}, 'what was there in another time zone counts as unchanged');
sql(q{DELETE FROM llama2_job WHERE state = 'failed'; DROP TABLE moments});

# A row that gets another key while its job waits
pause();
sql("INSERT INTO notes (id, body) VALUES (13, '$kettle'), (14, '$kettle'); UPDATE notes SET id = id + 100, summary = CASE id WHEN 14 THEN 'mine' END WHERE id IN (13, 14)");
resume();
wait_for('count(*) = 0 FROM llama2_jobs', 'jobs of rows with other keys end');
is(sql('SELECT id, summary FROM notes WHERE id > 100 ORDER BY id'), "113|$summary\n114|mine", 'under which they are found');
sql('DELETE FROM notes WHERE id > 100');

# A row is found again whatever the settings of the session that inserted it
sql(q{CREATE TABLE dated (day date, number float8, body text, summary text, PRIMARY KEY (day, number));
	CREATE TRIGGER s AFTER INSERT ON dated FOR EACH ROW EXECUTE FUNCTION llama2_enrich_async('summary', 'Summarize: {body}', 'max_tokens=40', 'temperature=0')});
sql("SET datestyle = 'SQL, DMY'; SET extra_float_digits = 0; INSERT INTO dated VALUES ('04/03/2024', 1::float8 / 3, '$kettle')");
wait_for("summary = '$summary' FROM dated", 'a date and a number as key');
sql('DROP TABLE dated');

# A row that is locked for a while, and changed while it is
my $locker = RawClient->new($node);
$locker->query("BEGIN; UPDATE notes SET summary = NULL, body = body || ' It is urgent.' WHERE id = 10");
sql("UPDATE notes SET summary = NULL, body = '$kettle ' WHERE id = 12");
wait_for("summary IS NOT NULL FROM notes WHERE id = 12", 'a locked row does not keep others waiting');
$locker->query('COMMIT');
wait_for('count(*) = 0 FROM llama2_jobs', 'nor is it given up');

# What a session knows of a trigger follows its definition, its table and the session's parameters
pause();
sql(q{CREATE TABLE changing (id int PRIMARY KEY, body text, title text, summary text);
	CREATE TRIGGER s AFTER INSERT ON changing FOR EACH ROW EXECUTE FUNCTION llama2_enrich_async('summary', 'A {body}', 'max_tokens=2')});
my $fresh = RawClient->new($node);
$fresh->query("INSERT INTO changing VALUES (1, 'x', 'y')");
$fresh->query("SET llama2.temperature = 0; INSERT INTO changing VALUES (2, 'x', 'y')");
$fresh->query("SET llama2.temperature = 1; INSERT INTO changing VALUES (3, 'x', 'y')");
$fresh->query(q{CREATE OR REPLACE TRIGGER s AFTER INSERT ON changing FOR EACH ROW EXECUTE FUNCTION llama2_enrich_async('summary', 'B {body}', 'max_tokens=3')});
$fresh->query("INSERT INTO changing VALUES (4, 'x', 'y')");
$fresh->query(q{BEGIN; INSERT INTO changing VALUES (5, 'x', 'y');
	CREATE OR REPLACE TRIGGER s AFTER INSERT ON changing FOR EACH ROW EXECUTE FUNCTION llama2_enrich_async('title', 'C {body}', 'max_tokens=3');
	INSERT INTO changing VALUES (6, 'x'); COMMIT});
$fresh->query("ALTER TABLE changing DROP CONSTRAINT changing_pkey, ADD PRIMARY KEY (body, id); INSERT INTO changing VALUES (7, 'x')");
$fresh->query(q{BEGIN; CREATE OR REPLACE TRIGGER s AFTER INSERT ON changing FOR EACH ROW EXECUTE FUNCTION llama2_enrich_async('title', 'D {body}', 'max_tokens=3');
	INSERT INTO changing VALUES (8, 'x'); ROLLBACK; INSERT INTO changing VALUES (9, 'x')});
is(sql(q{SELECT prompt, attname, keys, options->'max_tokens', options->'temperature' FROM llama2_job ORDER BY id}), join("\n",
	'A {body}|summary|{1}|2|', 'A {body}|summary|{2}|2|0', 'A {body}|summary|{3}|2|1', 'B {body}|summary|{4}|3|1',
	'B {body}|summary|{5}|3|1', 'C {body}|title|{6}|3|1', 'C {body}|title|{x,7}|3|1', 'C {body}|title|{x,9}|3|1'), 'jobs of one session while a trigger changes');
($status, $out, $err) = $node->psql('postgres', q{INSERT INTO changing VALUES (10, 'x');
	SET llama2.max_tokens_limit = 2; INSERT INTO changing VALUES (11, 'x')});
like($err, qr/max_tokens 3 is greater than the limit of 2/, 'the limit of a role holds for a trigger that the session knows already');
sql('DROP TABLE changing; DELETE FROM llama2_job');

# A job has what is not built in; what is, it has from nowhere else
sql('ALTER SYSTEM SET llama2.max_tokens = 3');
sql('SELECT pg_reload_conf()');
$node->poll_query_until('postgres', q{SELECT current_setting('llama2.max_tokens') = '3'}) or die;
my $short = sql(q{SELECT llama2_submit('Once upon a time', temperature => 0)});
my $long = sql(q{SET llama2.max_tokens = 256; SELECT llama2_submit('Once upon a time', temperature => 0)});
is(sql("SELECT options FROM llama2_job WHERE id IN ($short, $long) ORDER BY id"), qq({"max_tokens": 3, "temperature": 0}\n{"temperature": 0}),
	'a job keeps the parameters of its session');
resume();
is(sql("SELECT llama2_result($short, '60s')"), sql(q{SELECT llama2_generate('Once upon a time', temperature => 0)}), 'those of the configuration');
is(sql("SELECT llama2_result($long, '60s')"), sql(q{SET llama2.max_tokens = 256; SELECT llama2_generate('Once upon a time', temperature => 0)}), 'or those built in');
sql('ALTER SYSTEM RESET llama2.max_tokens');
sql('SELECT pg_reload_conf()');

# The table was empty when the worker made its plans; old jobs are looked for in the whole of it, but not here
pause();
sql('ALTER SYSTEM SET llama2.job_retention = -1');
sql('TRUNCATE llama2_job');
sql('VACUUM ANALYZE llama2_job');
sql(q{CREATE TABLE many (id int PRIMARY KEY, body text, summary text);
	CREATE TRIGGER s AFTER INSERT ON many FOR EACH ROW EXECUTE FUNCTION llama2_enrich_async('summary', '{body}', 'max_tokens=1')});
my $scans = q{SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'llama2_job'};
my $scans_before = sql($scans);
resume();
for my $rows ('generate_series(1, 10)', 'generate_series(11, 300)', 'generate_series(301, 310)')
{
	sql("INSERT INTO many SELECT n, 'x' FROM $rows AS n");
	wait_for('count(*) = 0 FROM many WHERE summary IS NULL', "$rows are done");
}
pause();
is(sql($scans), $scans_before, 'and it is not read as a whole afterwards');
sql('DROP TABLE many');
sql('ALTER SYSTEM RESET llama2.job_retention');

# Jobs that the worker has not seen yet
sql("SET ROLE alice; INSERT INTO notes (id, body) VALUES (13, '$kettle')");
sql("SET ROLE alice; INSERT INTO notes (id, body) VALUES (14, '$kettle')");
sql("SET ROLE alice; INSERT INTO notes (id, body) VALUES (15, '$kettle'), (16, '$kettle')");
my @new = split "\n", sql('SELECT id FROM llama2_job_new ORDER BY id');
is(scalar @new, 3, 'they have a table of their own');
($status, $out, $err) = $node->psql('postgres', 'SET ROLE alice; SELECT id FROM llama2_job_new');
like($err, qr/permission denied for table llama2_job_new/, 'where nobody looks');
is(sql("SET ROLE bob; SELECT llama2_cancel($new[0])"), 'f', 'nor cancels what is of others');
is(sql("SET ROLE alice; SELECT llama2_cancel($new[0])"), 't', 'but their owner does');
$locker->query("SET ROLE alice; BEGIN; SELECT llama2_cancel($new[1])");
resume();
wait_for("count(*) = 2 FROM notes WHERE id IN (15, 16) AND summary = '$summary'", 'a job that is just being cancelled does not keep others waiting');
$locker->query('ROLLBACK; RESET ROLE');
wait_for("summary = '$summary' FROM notes WHERE id = 14", 'and is done if it was not');
is(sql("SELECT state FROM llama2_jobs WHERE id = $new[0]"), 'cancelled', 'the cancelled one is kept');
is(sql('SELECT summary IS NULL FROM notes WHERE id = 13'), 't', 'without a summary');
wait_for('count(*) = 0 FROM llama2_job_new', 'none stays where it was');
sql('DELETE FROM llama2_job');

# Subtransactions and roll-backs
pause();
sql("BEGIN; INSERT INTO notes (id, body) VALUES (20, '$kettle'); ROLLBACK");
is(sql('SELECT count(*) FROM llama2_jobs'), '0', 'no transaction, no job');
sql("BEGIN; SAVEPOINT a; INSERT INTO notes (id, body) VALUES (20, '$kettle'); ROLLBACK TO a; INSERT INTO notes (id, body) VALUES (21, '$kettle');
	 SAVEPOINT b; INSERT INTO notes (id, body) VALUES (22, '$kettle'); RELEASE b; COMMIT");
is(sql('SELECT sum(rows) FROM llama2_jobs'), '2', 'what was rolled back to a savepoint is left out');
sql("BEGIN; INSERT INTO notes (id, body) SELECT n, '$kettle' FROM generate_series(1001, 3500) AS n; DELETE FROM notes WHERE id > 1002; COMMIT");
is(sql('SELECT sum(rows) FROM llama2_jobs'), '2502', 'many rows');
sql('DELETE FROM notes WHERE id > 1000');

# A transaction that is prepared, and committed by another session
sql("BEGIN; INSERT INTO notes (id, body) VALUES (30, '$kettle'); PREPARE TRANSACTION 'two'");
resume();
wait_for('count(*) = 0 FROM llama2_jobs', 'jobs for rows that are gone end');
sql("COMMIT PREPARED 'two'");
wait_for("summary = '$summary' FROM notes WHERE id = 30", 'jobs of a prepared transaction are done at once when it is committed');

# Failures: tried again, then given up with the reason
sql(q{ALTER TABLE notes ADD CONSTRAINT never CHECK (summary IS NULL) NOT VALID});
sql("INSERT INTO notes (id, body) VALUES (40, '$kettle')");
wait_for(q{count(*) > 0 FROM llama2_jobs WHERE state = 'failed'}, 'a job that fails again and again is given up');
is(sql('SELECT attempts, error FROM llama2_jobs'), '3|new row for relation "notes" violates check constraint "never"', 'with its last error');
sql('ALTER TABLE notes DROP CONSTRAINT never; DELETE FROM llama2_job; DELETE FROM notes WHERE id = 40');
sql("INSERT INTO notes (id, body) VALUES (41, repeat('word ', 600))");
wait_for(q{count(*) > 0 FROM llama2_jobs WHERE state = 'failed'}, 'one that cannot succeed at once');
like(sql('SELECT attempts, error FROM llama2_jobs'), qr/^1\|prompt of \d+ tokens does not fit/, 'a prompt that is too long');
sql('DELETE FROM llama2_job');

# The table changes before its jobs run
pause();
sql("CREATE TABLE gone (id int PRIMARY KEY, body text, summary text);
	 CREATE TRIGGER s AFTER INSERT ON gone FOR EACH ROW EXECUTE FUNCTION llama2_enrich_async('summary', 'Summarize: {body}');
	 INSERT INTO gone VALUES (1, '$kettle');
	 INSERT INTO notes (id, body) VALUES (42, '$kettle')");
sql('DROP TABLE gone; ALTER TABLE notes RENAME COLUMN body TO content');
resume();
wait_for(q{count(*) = 2 FROM llama2_jobs WHERE state = 'failed'}, 'the table or a column is gone');
is(sql('SELECT error FROM llama2_jobs ORDER BY 1'), qq{column "body" of relation "notes" does not exist\nthe table does not exist any more}, 'which the jobs say');
sql('ALTER TABLE notes RENAME COLUMN content TO body; DELETE FROM llama2_job');
pause();
sql("CREATE TABLE renamed (id int PRIMARY KEY, body text, summary text); CREATE TABLE keyless (LIKE renamed INCLUDING ALL);
	 CREATE TRIGGER s AFTER INSERT ON renamed FOR EACH ROW EXECUTE FUNCTION llama2_enrich_async('summary', 'Summarize: {body}', 'max_tokens=40', 'temperature=0');
	 CREATE TRIGGER s AFTER INSERT ON keyless FOR EACH ROW EXECUTE FUNCTION llama2_enrich_async('summary', 'Summarize: {body}');
	 INSERT INTO renamed VALUES (1, '$kettle'); INSERT INTO keyless VALUES (1, '$kettle')");
sql('CREATE SCHEMA elsewhere; ALTER TABLE renamed RENAME id TO number; ALTER TABLE renamed ALTER number TYPE text; ALTER TABLE renamed RENAME TO moved;
	ALTER TABLE moved SET SCHEMA elsewhere; ALTER TABLE keyless DROP CONSTRAINT keyless_pkey');
resume();
wait_for("summary = '$summary' FROM elsewhere.moved", 'a table, its key and its schema have other names');
wait_for(q{count(*) = 1 FROM llama2_jobs WHERE state = 'failed'}, 'a key is gone');
is(sql('SELECT error FROM llama2_jobs'), 'relation "keyless" has no primary key', 'which the job says');
sql('DROP SCHEMA elsewhere CASCADE; DROP TABLE keyless; DELETE FROM llama2_job');
sql("CREATE ROLE carol; GRANT ALL ON notes TO carol");
pause();
sql("SET ROLE carol; INSERT INTO notes (id, body) VALUES (43, '$kettle')");
sql('REVOKE ALL ON notes FROM carol; DROP ROLE carol');
resume();
wait_for(q{count(*) = 1 FROM llama2_jobs WHERE state = 'failed'}, 'the owner is gone');
like(sql('SELECT error FROM llama2_jobs'), qr/^role with OID \d+ does not exist$/, 'which the job says');
sql('DELETE FROM llama2_job');

# Prompts
my $id = sql(q{SELECT llama2_submit('Once upon a time', max_tokens => 10, temperature => 0)});
is(sql("SELECT llama2_result($id, '30 s') = llama2_generate('Once upon a time', max_tokens => 10, temperature => 0)"), 't', 'the text of a prompt');
my $listener = RawClient->new($node);
$id = sql(q{SET llama2.temperature = 0; SET llama2.max_tokens = 4; SELECT llama2_submit('Once upon a time')});
is(sql("SELECT llama2_result($id, '30 s') = llama2_generate('Once upon a time', max_tokens => 4, temperature => 0)"), 't',
	'with the parameters of the session that submitted it');
$id = sql(q{SELECT llama2_submit('What is PostgreSQL?', system => 'Answer in capital letters.', options => '{"temperature": 0}')});
is(sql("SELECT llama2_result($id, '30 s') = llama2_generate('What is PostgreSQL?', system => 'Answer in capital letters.', temperature => 0)"), 't',
	'with a system message and options');
($status, $out, $err) = $node->psql('postgres', 'SELECT llama2_result(123456789)');
like($err, qr/there is no job 123456789/, 'a job that there is not');
is(sql('SELECT llama2_result(NULL) IS NULL AND llama2_submit(NULL) IS NULL AND llama2_cancel(NULL) IS NULL'), 't', 'NULL');
$id = sql(q{SELECT llama2_submit('Once', model => 'nowhere')});
wait_for("state = 'failed' FROM llama2_jobs WHERE id = $id", 'a model that there is not');
($status, $out, $err) = $node->psql('postgres', "SELECT llama2_result($id)");
like($err, qr/job $id failed: model "nowhere" does not exist/, 'is the reason');
($status, $out, $err) = $node->psql('postgres', q{SET llama2.max_tokens_limit = 5; SELECT llama2_submit('Once', max_tokens => 6)});
like($err, qr/max_tokens 6 is greater than the limit of 5/, 'the limit of a role holds when it submits');

# Cancelling
my $endless = q{llama2_submit('Once upon a time', max_tokens => 500, options => '{"ignore_eos": true}')};
$id = sql("SET ROLE alice; SELECT $endless");
is(sql("SET ROLE bob; SELECT llama2_cancel($id)"), 'f', 'nobody cancels a job of others');
is(sql("SET ROLE alice; SELECT llama2_cancel($id)"), 't', 'its owner does');
is(sql("SELECT state FROM llama2_jobs WHERE id = $id"), 'cancelled', 'and it is');
is(sql("SET ROLE alice; SELECT llama2_cancel($id)"), 'f', 'once');
wait_for('count(*) = 0 FROM llama2_requests', 'the model drops it');
($status, $out, $err) = $node->psql('postgres', "SELECT llama2_result($id)");
like($err, qr/job $id was cancelled/, 'its result is an error');
for my $statement ("UPDATE llama2_job SET owner = 'bob'", "UPDATE llama2_job SET state = 'queued'", 'DELETE FROM llama2_job',
	q{INSERT INTO llama2_job (owner, prompt, model, chat, options) VALUES ('bob', 'x', 'tinychat-6m', true, '{}')})
{
	($status, $out, $err) = $node->psql('postgres', "SET ROLE alice; $statement");
	like($err, qr/permission denied|row-level security/, "nobody may: $statement");
}

# Owners take turns: who comes with a few jobs does not wait until another's many are done
sql(q{
	CREATE TABLE fair (id int PRIMARY KEY, body text, summary text);
	CREATE TABLE fair_written (place serial, who name);
	GRANT SELECT, INSERT, UPDATE ON fair TO alice, bob; GRANT INSERT ON fair_written TO alice, bob; GRANT USAGE ON SEQUENCE fair_written_place_seq TO alice, bob;
	CREATE FUNCTION fair_note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.fair_written (who) VALUES (current_user); RETURN NULL; END';
	CREATE TRIGGER note AFTER UPDATE ON fair FOR EACH ROW EXECUTE FUNCTION fair_note();
	CREATE TRIGGER fill AFTER INSERT ON fair FOR EACH ROW EXECUTE FUNCTION llama2_enrich_async('summary', 'Item {id}: {body}', 'max_tokens=1', 'chat=false');
});
pause();
sql(q{SET ROLE alice; SELECT count(llama2_submit('Once ' || i, max_tokens => 1)) FROM generate_series(1, 400) AS i;
	INSERT INTO fair SELECT i, 'x' FROM generate_series(1, 400) AS i});
sql(q{SET ROLE bob; SELECT count(llama2_submit('Once ' || i, max_tokens => 1)) FROM generate_series(1, 3) AS i;
	INSERT INTO fair SELECT i, 'x' FROM generate_series(1001, 1003) AS i});
resume();
wait_for(q{count(*) = 0 FROM llama2_jobs WHERE state IN ('queued', 'running')}, 'the jobs of two owners are done');
is(sql('SELECT count(*) FROM fair WHERE summary IS NULL'), '0', 'their rows, too');
cmp_ok(sql(q{SELECT count(*) FROM llama2_jobs WHERE owner = 'alice' AND finished_at < (SELECT max(finished_at) FROM llama2_jobs WHERE owner = 'bob')}), '<', 200,
	'prompts of who has few come before most of who has many');
cmp_ok(sql(q{SELECT max(place) FROM fair_written WHERE who = 'bob'}), '<', 200, 'and so do rows');
sql('DELETE FROM llama2_job');

# Children that inherit have keys of their own
sql(q{CREATE TABLE letters () INHERITS (notes); ALTER TABLE letters ADD PRIMARY KEY (id)});
sql("INSERT INTO letters (id, body) VALUES (1, 'Another text.'), (51, '$kettle')");
sql("UPDATE ONLY notes SET body = body || ' ', summary = NULL WHERE id = 1");
wait_for('count(*) = 0 FROM llama2_jobs', 'a job for a row of a parent ends');
is(sql('SELECT tableoid::regclass, summary FROM notes WHERE id IN (1, 51) ORDER BY 1'), "notes|$summary\nletters|\nletters|", 'its children are left alone');
sql(q{CALL llama2_enrich_table('notes', 'summary', 'Summarize: {body}', condition => 'id IN (1, 51)')});
is(sql('SELECT count(*) FROM letters WHERE summary IS NOT NULL'), '0', 'by llama2_enrich_table, too');
sql(q{CALL llama2_enrich_table('letters', 'summary', 'Summarize: {body}', options => 'temperature=0')});
is(sql('SELECT summary FROM letters WHERE id = 51'), $summary, 'until it is called for a child');
sql('DROP TABLE letters');

# on_error=null: what the column had for another text goes, and the reason is kept
sql(q{
	CREATE TABLE drafts (id int PRIMARY KEY, body text, summary text);
	CREATE TRIGGER summarize AFTER INSERT OR UPDATE ON drafts FOR EACH ROW
		EXECUTE FUNCTION llama2_enrich_async('summary', 'Summarize: {body}', 'max_tokens=40', 'temperature=0', 'on_error=null');
	INSERT INTO drafts VALUES (1, 'x', 'of x'), (2, 'x', 'of x'), (3, 'x', 'of x')});
pause();
sql(q{UPDATE drafts SET body = repeat('very long ', 600) WHERE id < 3; UPDATE drafts SET summary = 'mine' WHERE id = 2});
resume();
wait_for(q{count(*) = 0 FROM llama2_jobs WHERE state IN ('queued', 'running')}, 'jobs without an answer end');
is(sql('SELECT id, summary FROM drafts ORDER BY id'), "1|\n2|mine\n3|of x", 'the column is null, but not where it was set meanwhile');
like(sql('SELECT key, state, attempts, error FROM llama2_jobs'), qr/^\{1\}\|failed\|1\|prompt of \d+ tokens does not fit/, 'and the reason is kept');
sql("UPDATE drafts SET body = '$kettle' WHERE id = 1");
wait_for("summary = '$summary' FROM drafts WHERE id = 1", 'a text that fits is summarized again');
sql('DELETE FROM llama2_job');

# LISTEN
($status, $out, $err) = (0, '', '');
$node->psql('postgres', qq{LISTEN llama2_jobs; INSERT INTO notes (id, body) VALUES (50, '$kettle');
	SELECT llama2_submit('Once', max_tokens => 2) AS id \\gset
	SELECT llama2_result(:id, '30 s') IS NOT NULL;
	DO 'BEGIN WHILE (SELECT summary IS NULL FROM notes WHERE id = 50) LOOP PERFORM pg_sleep(0.05); END LOOP; END';
	SELECT pg_sleep(0.3);
	SELECT 1;}, stdout => \$out);
like($out, qr/Asynchronous notification "llama2_jobs" with payload "\{"job": \d+, "state": "done"\}"/, 'listeners are told of a prompt');
like($out, qr/with payload "\{"table": "public.notes", "column": "summary", "state": "done"\}"/, 'and of a table');

# Kept for a while
sql('ALTER SYSTEM SET llama2.job_retention = 0');
sql('ALTER SYSTEM SET llama2.job_keep_alive = 1');
$node->restart;
wait_for('count(*) = 0 FROM llama2_jobs', 'jobs that ended are removed when llama2.job_retention is over');
sql('ALTER SYSTEM RESET llama2.job_retention');

# Its worker leaves when there is nothing to do
wait_for(q{count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'llama2 job worker'}, 'the worker leaves after llama2.job_keep_alive');
sql("UPDATE notes SET summary = NULL, body = body || ' ' WHERE id = 50");
wait_for('summary IS NOT NULL FROM notes WHERE id = 50', 'and another comes when there is');

# Nobody makes it wait: whoever may cancel a job may lock it, when it is done and when it is to be removed
my ($model_worker) = split /\n/, sql('SELECT worker_pid FROM llama2_status');
kill 'STOP', $model_worker;
$id = sql(q{SET ROLE alice; SELECT llama2_submit('Once', max_tokens => 2)});
wait_for("state = 'running' FROM llama2_jobs WHERE id = $id", 'a job runs');
my $holder = RawClient->new($node);
$holder->query('SET ROLE alice');
$holder->query('BEGIN');
$holder->query("SELECT FROM llama2_job WHERE id = $id FOR UPDATE");
kill 'CONT', $model_worker;
my $other = sql(q{SET ROLE bob; SELECT llama2_submit('Once', max_tokens => 2)});
wait_for("state = 'done' FROM llama2_jobs WHERE id = $other", 'jobs of others are done while its owner locks it');
is(sql("SELECT state FROM llama2_jobs WHERE id = $id"), 'running', 'though its answer is not written');
$holder->query('COMMIT');
wait_for("state = 'done' FROM llama2_jobs WHERE id = $id", 'until it is unlocked');
$holder->query('BEGIN');
$holder->query("SELECT FROM llama2_job WHERE id = $id FOR UPDATE");
pause();
sql($_) for 'ALTER SYSTEM SET llama2.job_retention = 0', 'ALTER SYSTEM SET llama2.job_keep_alive = 3600', 'SELECT pg_sleep(0.01)';
resume();
sql(q{SET ROLE bob; SELECT llama2_submit('Once', max_tokens => 2)});
wait_for("count(*) = 0 FROM llama2_job WHERE id = $other", 'jobs of others are removed while its owner locks one');
is(sql("SELECT count(*) FROM llama2_job WHERE id = $id"), '1', 'which stays');
$holder->query('COMMIT');
$holder->vanish;
sql($_) for 'ALTER SYSTEM RESET llama2.job_retention', 'SELECT pg_reload_conf()', 'DELETE FROM llama2_job';
($status, $out, $err) = $node->psql('postgres', q{SET ROLE alice; SELECT llama2_submit('Once', max_tokens => 2, model => 'none') AS id \gset
	UPDATE llama2_job SET state = 'cancelled' WHERE id = :id});
like($err, qr/row-level security/, 'a job cannot be marked cancelled and left unfinished');

# Nor does who has slow triggers: each round has a little time for each owner
sql(q{
	CREATE TABLE slow (id int PRIMARY KEY, body text, summary text);
	CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END';
	CREATE TRIGGER nap BEFORE UPDATE ON slow FOR EACH ROW EXECUTE FUNCTION nap();
	CREATE TRIGGER summarize AFTER INSERT ON slow FOR EACH ROW EXECUTE FUNCTION llama2_enrich_async('summary', '{body}', 'max_tokens=2');
	GRANT ALL ON slow TO alice});
kill 'STOP', $model_worker;
sql(q{SET ROLE alice; INSERT INTO slow SELECT i, 'Once ' || i FROM generate_series(1, 10) AS i});
$other = sql(q{SET ROLE bob; SELECT llama2_submit('Once', max_tokens => 2)});
wait_for(q{count(*) = 11 FROM llama2_jobs WHERE state = 'running'}, 'jobs of two owners run');
kill 'CONT', $model_worker;
wait_for("state = 'done' FROM llama2_jobs WHERE id = $other", 'one is done');
isnt(sql('SELECT count(*) FROM slow WHERE summary IS NULL'), '0', 'before all of the one with slow triggers are');
wait_for('count(*) = 0 FROM slow WHERE summary IS NULL', 'which are done too');
sql('DROP TABLE slow');

# What user code may ask for in a job is what it may ask for in a session
pause();
sql($_) for 'ALTER SYSTEM SET llama2.max_tokens_limit = 10', 'SELECT pg_reload_conf()', q{
	CREATE TABLE limited (id int PRIMARY KEY, body text, summary text, allowed text);
	CREATE FUNCTION note_limit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.allowed := current_setting('llama2.max_tokens_limit'); RETURN NEW; END $$;
	CREATE TRIGGER note_limit BEFORE UPDATE ON limited FOR EACH ROW EXECUTE FUNCTION note_limit();
	CREATE TRIGGER summarize AFTER INSERT ON limited FOR EACH ROW EXECUTE FUNCTION llama2_enrich_async('summary', '{body}', 'max_tokens=2');
	INSERT INTO limited VALUES (1, 'Once')};
resume();
wait_for('allowed IS NOT NULL FROM limited', 'a job writes');
is(sql('SELECT allowed FROM limited'), '10', 'and its triggers have the limit of tokens that sessions have');
sql($_) for 'DROP TABLE limited', 'ALTER SYSTEM RESET llama2.max_tokens_limit', 'SELECT pg_reload_conf()';

# Rows whose transaction drops the extension are forgotten with it
is($node->psql('postgres', q{CREATE DATABASE dropping}), 0, 'another database');
is($node->psql('dropping', q{BEGIN; CREATE EXTENSION llama2; CREATE TABLE t (id int PRIMARY KEY, body text, summary text);
	CREATE TRIGGER s AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION llama2_enrich_async('summary', '{body}');
	INSERT INTO t VALUES (1, 'x'); DROP EXTENSION llama2 CASCADE; COMMIT}), 0, 'a transaction that queues jobs can drop the extension');
sql('DROP DATABASE dropping');

# User code that catches its cancellation and goes on does not keep the worker
sql(q{
	CREATE TABLE stubborn (id int PRIMARY KEY, body text, summary text);
	CREATE FUNCTION go_on() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		WHILE NEW.summary IS NOT NULL LOOP
			BEGIN
				PERFORM pg_sleep(1000);
			EXCEPTION WHEN query_canceled THEN
				NULL;
			END;
		END LOOP;
		RETURN NEW;
	END $$;
	CREATE TRIGGER go_on BEFORE UPDATE ON stubborn FOR EACH ROW EXECUTE FUNCTION go_on();
	CREATE TRIGGER summarize AFTER INSERT ON stubborn FOR EACH ROW EXECUTE FUNCTION llama2_enrich_async('summary', '{body}', 'max_tokens=2');
	INSERT INTO stubborn VALUES (1, 'Once')});
wait_for(q{count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'llama2 job worker' AND wait_event = 'PgSleep'}, 'a trigger sleeps');
set_workers(0);
sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'llama2 job worker'});
wait_for(q{count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'llama2 job worker'}, 'and the worker leaves when it is terminated');
sql('DROP TABLE stubborn');
sql('DELETE FROM llama2_job');
resume();

# Nor does it stay when another database has jobs, however idle it may be
sql($_) for q{ALTER SYSTEM SET llama2.job_keep_alive = '1h'}, 'ALTER SYSTEM SET llama2.job_workers = 1', 'SELECT pg_reload_conf()', 'CREATE DATABASE waiting';
sql('CREATE EXTENSION llama2', 'waiting');
sql("UPDATE notes SET summary = NULL, body = body || ' ' WHERE id = 50");
wait_for('summary IS NOT NULL FROM notes WHERE id = 50', 'a worker');
wait_for(q{state = 'idle' FROM pg_stat_activity WHERE backend_type = 'llama2 job worker'}, 'is idle');
sql(q{SELECT llama2_submit('Once', max_tokens => 2)}, 'waiting');
wait_for(q{state = 'done' FROM llama2_jobs}, 'an idle worker leaves its place to another database', 'waiting');
sql($_) for 'DROP DATABASE waiting', 'ALTER SYSTEM RESET llama2.job_keep_alive', 'ALTER SYSTEM RESET llama2.job_workers', 'SELECT pg_reload_conf()';

# Databases
sql('CREATE DATABASE second');
sql('CREATE EXTENSION llama2', 'second');
sql("SELECT $endless", 'second');
wait_for(q{count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'llama2 job worker' AND datname = 'second'}, 'another database has a worker of its own', 'second');
is($node->psql('postgres', 'ALTER DATABASE second RENAME TO other'), 0, 'a database with jobs can be renamed');

is($node->psql('postgres', 'CREATE DATABASE copied TEMPLATE other'), 0, 'copied');
is($node->psql('postgres', 'DROP DATABASE other'), 0, 'and dropped');
is($node->psql('postgres', 'DROP DATABASE copied'), 0, 'and its copy too');
sql('CREATE DATABASE third');
sql('CREATE EXTENSION llama2', 'third');
# so many that the worker has something to do until it meets the lock
sql("SELECT $endless FROM generate_series(1, 20)", 'third');
my $dropping = RawClient->new($node, 'third');
$dropping->query('BEGIN; DROP EXTENSION llama2');
my $locks = q{FROM pg_locks WHERE pid = (SELECT pid FROM pg_stat_activity WHERE backend_type = 'llama2 job worker' AND datname = 'third')};
wait_for("count(*) = 1 $locks AND NOT granted AND classid = 'pg_extension'::regclass", 'the worker waits for who drops the extension');
is(sql("SELECT count(*) $locks AND locktype = 'relation' AND granted AND relation > 16383"), '0', 'and holds no table that is dropped with it');
$dropping->query('ROLLBACK');
$dropping->vanish;
wait_for("count(*) = 20 FROM llama2_jobs WHERE state = 'done'", 'it goes on with the jobs when it is kept', 'third');
sql("SELECT $endless FROM generate_series(1, 20)", 'third');
is($node->psql('third', 'DROP EXTENSION llama2'), 0, 'the extension can be dropped while its jobs run');
wait_for(q{count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'llama2 job worker' AND datname = 'third'}, 'its worker leaves', 'third');
sql('CREATE EXTENSION llama2', 'third');
$id = sql(q{SELECT llama2_submit('Once', max_tokens => 2)}, 'third');
wait_for("state = 'done' FROM llama2_jobs WHERE id = $id", 'and comes again with the extension', 'third');

# One worker for three databases: they take turns
pause();
sql('CREATE DATABASE fourth');
sql('CREATE EXTENSION llama2', 'fourth');
my %job = map { $_ => sql(q{SELECT llama2_submit('Once', max_tokens => 2)}, $_) } qw(postgres third fourth);
resume(1);
wait_for("state = 'done' FROM llama2_jobs WHERE id = $job{$_}", "the job in database $_ is done", $_) for sort keys %job;

# After a restart, jobs of every database are found again
pause();
%job = map { $_ => sql(q{SELECT llama2_submit('Once', max_tokens => 2)}, $_) } qw(postgres third fourth);
$node->stop('immediate');
$node->start;
resume();
wait_for("state = 'done' FROM llama2_jobs WHERE id = $job{$_}", "after a restart, too: $_", $_) for sort keys %job;

# A dump has them
pause();
$id = sql(q{SELECT llama2_submit('Once upon a time', max_tokens => 3, temperature => 0)});
sql("INSERT INTO notes (id, body) VALUES (60, '$kettle')");
sql("INSERT INTO notes (id, body) VALUES (61, '$kettle'), (62, '$kettle')");
my $dump = $node->basedir . '/dump.sql';
command_ok([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-f', $dump, 'postgres' ], 'pg_dump');
# version 14.9 has policies of the extension's tables in it, beside the extension
my $without = slurp_file($dump) =~ s/^CREATE POLICY llama2_.*?;$//gmsr;
unlink $dump;
append_to_file($dump, $without);
sql('CREATE DATABASE restored');
command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $node->port, '-f', $dump, 'restored' ], 'restore');
sql('DELETE FROM llama2_job');
resume();
wait_for("llama2_result($id) IS NOT NULL", 'a job that was restored is done', 'restored');
wait_for("count(*) = 3 FROM notes WHERE id IN (60, 61, 62) AND summary = '$summary'", 'in a table, too', 'restored');
is(sql(q{SELECT llama2_submit('Once', max_tokens => 2)}, 'restored') > $id, 1, 'ids go on after those that were restored');

# Who is no superuser dumps his own
sql('CREATE DATABASE owned');
sql('CREATE EXTENSION llama2', 'owned');
my $others = sql(q{SELECT llama2_submit('Once', max_tokens => 2)}, 'owned');
my $own = sql(q{SET ROLE alice; SELECT llama2_submit('Once', max_tokens => 2); SELECT llama2_conversation_start('alice')}, 'owned') =~ s/\n.*//r;
my @dump = ('pg_dump', '-h', $node->host, '-p', $node->port, '-U', 'alice', '-f', $dump, 'owned');
command_fails_like([ @dump ], qr/would be affected by row-level security policy/, 'who is no superuser needs --enable-row-security for pg_dump');
command_ok([ @dump, '--enable-row-security' ], 'with it');
my ($dumped) = slurp_file($dump) =~ /^COPY public\.llama2_job \(.*?\n(.*?)^\\\./ms;
is(join(' ', map { /^(\d+)/ } split /\n/, $dumped), $own, 'there are one\'s own jobs');

# A standby leaves jobs alone, until it is promoted
pause();
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('rules_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->append_conf('postgresql.auto.conf', "llama2.job_workers = 2\n");
$standby->start;
$id = sql(q{SELECT llama2_submit('Once', max_tokens => 2)});
$node->wait_for_catchup($standby);
sleep 0.5;
is($standby->safe_psql('postgres', "SELECT state FROM llama2_jobs WHERE id = $id"), 'queued', 'a standby does no jobs');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'llama2 job%'}), '0', 'and has no process for them');
($status, $out, $err) = $standby->psql('postgres', q{SELECT llama2_submit('Once')});
like($err, qr/cannot execute INSERT in a read-only transaction/, 'nor takes any');
$standby->promote;
ok($standby->poll_query_until('postgres', "SELECT state = 'done' FROM llama2_jobs WHERE id = $id"), 'after its promotion it does them');

$standby->stop;
$node->stop;
done_testing();
