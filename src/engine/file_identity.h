/*
 * file_identity.h
 *		What tells that a file is still the one that was read.
 */
#ifndef LLM_FILE_IDENTITY_H
#define LLM_FILE_IDENTITY_H

#include <sys/stat.h>

#include "text/base.h"

typedef struct LlmFileIdentity
{
	uint64_t	device;
	uint64_t	inode;
	uint64_t	size;
	int64_t		modified_s;
	int64_t		modified_ns;
} LlmFileIdentity;

static inline LlmFileIdentity
llm_file_identity(const struct stat *status)
{
	return (LlmFileIdentity)
	{
		.device = (uint64_t) status->st_dev,
		.inode = (uint64_t) status->st_ino,
		.size = (uint64_t) status->st_size,
		.modified_s = (int64_t) status->st_mtim.tv_sec,
		.modified_ns = (int64_t) status->st_mtim.tv_nsec
	};
}

static inline bool
llm_same_file(const LlmFileIdentity *a, const LlmFileIdentity *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
		a->modified_s == b->modified_s && a->modified_ns == b->modified_ns;
}

#endif							/* LLM_FILE_IDENTITY_H */
