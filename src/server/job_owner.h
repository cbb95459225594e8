/*
 * job_owner.h
 *		The worker of jobs as the owner of one of them, while it touches the tables of users.
 */
#ifndef LLAMA2_JOB_OWNER_H
#define LLAMA2_JOB_OWNER_H

#include "postgres.h"

/* What the worker was before. */
typedef struct Llama2JobOwner
{
	Oid			user;
	int			security;
	int			settings;
} Llama2JobOwner;

/* Once in a process, before its settings are changed. */
extern void Llama2JobOwnerInit(void);

/* In a subtransaction: from here on with the owner's rights and settings, restricted, and not for long. */
extern void Llama2BecomeJobOwner(Oid owner, Llama2JobOwner *before);
extern void Llama2BecomeJobWorker(const Llama2JobOwner *before);

/* After an error: the end of the subtransaction does the rest. */
extern void Llama2LeaveJobOwner(void);

#endif							/* LLAMA2_JOB_OWNER_H */
