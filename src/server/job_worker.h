/*
 * job_worker.h
 *		The processes that do jobs: one launcher, and a worker in each database that has jobs.
 */
#ifndef LLAMA2_JOB_WORKER_H
#define LLAMA2_JOB_WORKER_H

#include "postgres.h"

/* While preloading: register the launcher, and the hook that sends workers away. */
extern void Llama2RegisterJobLauncher(void);
extern void Llama2InstallUtilityHook(void);

/* What the postmaster starts. */
extern PGDLLEXPORT void Llama2JobLauncherMain(Datum argument);
extern PGDLLEXPORT void Llama2JobWorkerMain(Datum argument);

/* Ask for a worker in this database; false where the server has no process to spare. */
extern bool Llama2StartJobWorker(Oid database);

/* Ask the worker of a database to go, and wait until it has gone; it is not started for a while. */
extern void Llama2SendJobWorkerAway(Oid database);

#endif							/* LLAMA2_JOB_WORKER_H */
