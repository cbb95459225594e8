/*
 * model_layout.c
 *		Where everything lies in a model's image, and so how large that is.
 */
#include "engine/model_image.h"

#include <string.h>

bool
llm_model_plan_image(LlmModelFile *file, LlmError *error)
{
	uint64_t	size = llm_image_header_size(&file->config);

	for (int32_t slot = 0; slot < file->n_slots; slot++)
	{
		const LlmGgufTensor *tensor = file->tensors[slot];
		int32_t		rows;
		int32_t		cols;

		llm_role_shape(&file->config, llm_slot_role(slot), &rows, &cols);
		if (tensor != NULL &&
			!llm_add_sizes(size, llm_image_entry_size(llm_slot_role(slot), tensor->type, rows, cols), &size))
			return llm_fail(error, LLM_ERROR_LIMIT, "the model is too large");
	}
	file->image_size = size;
	return true;
}

uint64_t
llm_model_image_size(const LlmModelFile *file)
{
	return file->image_size;
}

uint64_t
llm_image_header_size(const LlmModelConfig *config)
{
	uint64_t	size = sizeof(LlmImageHeader) + (uint64_t) llm_n_slots(config) * sizeof(LlmImageEntry);

	return (size + LLM_IMAGE_ALIGNMENT - 1) / LLM_IMAGE_ALIGNMENT * LLM_IMAGE_ALIGNMENT;
}

void
llm_image_write_directory(const LlmModelFile *file, LlmImageHeader *header)
{
	uint64_t	offset = llm_image_header_size(&file->config);

	memset(header, 0, offset);
	header->version = LLM_IMAGE_VERSION;
	header->header_bytes = (uint32_t) offset;
	header->size = file->image_size;
	header->config = file->config;
	for (int32_t slot = 0; slot < file->n_slots; slot++)
	{
		const LlmGgufTensor *tensor = file->tensors[slot];
		LlmRole		role = llm_slot_role(slot);
		LlmImageEntry *entry = &header->entries[slot];

		llm_role_shape(&file->config, role, &entry->rows, &entry->cols);
		entry->offset = offset;
		if (tensor == NULL)
			continue;
		entry->type = llm_role_is_norm(role) ? LLM_F32 : tensor->type;
		entry->n_bytes = llm_image_entry_size(role, entry->type, entry->rows, entry->cols);
		offset += entry->n_bytes;
	}
}

uint64_t
llm_image_entry_size(LlmRole role, LlmTensorType type, int32_t rows, int32_t cols)
{
	uint64_t	n_panels = ((uint64_t) rows + LLM_PANEL_ROWS - 1) / LLM_PANEL_ROWS;

	if (llm_role_is_norm(role))
		return ((uint64_t) cols * sizeof(float) +
				LLM_IMAGE_ALIGNMENT - 1) / LLM_IMAGE_ALIGNMENT * LLM_IMAGE_ALIGNMENT;
	return n_panels * llm_panel_bytes(type, cols);
}
