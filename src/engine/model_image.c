/*
 * model_image.c
 *		Attaching to a model's image.
 */
#include "engine/model_image.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool check_image(const LlmImageHeader *header, uint64_t size, LlmError *error);
static bool check_entry(const LlmImageHeader *header, int32_t slot, LlmError *error);
static void fill_slot(LlmModel *model, int32_t slot, const uint8_t *image, const LlmImageEntry *entry);

bool
llm_model_attach(const void *image, uint64_t size, LlmModel *model, LlmError *error)
{
	const LlmImageHeader *header = image;
	int32_t		n_slots;

	memset(model, 0, sizeof(*model));
	if (!check_image(header, size, error))
		return false;
	n_slots = llm_n_slots(&header->config);
	for (int32_t slot = 0; slot < n_slots; slot++)
		if (!check_entry(header, slot, error))
			return false;

	model->config = header->config;
	model->layers = calloc((size_t) header->config.n_layers, sizeof(LlmLayer));
	if (model->layers == NULL)
		return llm_fail(error, LLM_ERROR_OUT_OF_MEMORY, "out of memory for %" PRId32 " layers",
						header->config.n_layers);
	for (int32_t slot = 0; slot < n_slots; slot++)
		fill_slot(model, slot, image, &header->entries[slot]);
	if (header->config.tied_output)
		model->output = model->embedding;
	return true;
}

void
llm_model_detach(LlmModel *model)
{
	free(model->layers);
	memset(model, 0, sizeof(*model));
}

/* The header alone; after this the directory may be read. */
static bool
check_image(const LlmImageHeader *header, uint64_t size, LlmError *error)
{
	if (size < sizeof(LlmImageHeader) || (uintptr_t) header % LLM_IMAGE_ALIGNMENT != 0 ||
		memcmp(header->magic, LLM_IMAGE_MAGIC, sizeof(header->magic)) != 0)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "memory holds no loaded model");
	if (header->version != LLM_IMAGE_VERSION)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"model image has the version %" PRIu32 ", not %d",
						header->version, LLM_IMAGE_VERSION);
	if (header->size > size)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"model image of %" PRIu64 " bytes lies in %" PRIu64, header->size, size);
	if (!llm_config_check(&header->config, error))
		return false;
	/* Read as a bool, any other byte would be undefined behaviour. */
	if (*(const uint8_t *) &header->config.tied_output > 1)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "model image has a bad configuration");
	if (header->header_bytes != llm_image_header_size(&header->config) || header->header_bytes > header->size)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE,
						"model image has a header of %" PRIu32 " bytes", header->header_bytes);
	return true;
}

static bool
check_entry(const LlmImageHeader *header, int32_t slot, LlmError *error)
{
	const LlmImageEntry *entry = &header->entries[slot];
	LlmRole		role = llm_slot_role(slot);
	const LlmTensorTypeInfo *info = llm_tensor_type_info((uint32_t) entry->type);
	int32_t		rows;
	int32_t		cols;

	if (role == LLM_ROLE_OUTPUT && header->config.tied_output)
		return true;
	llm_role_shape(&header->config, role, &rows, &cols);
	if (info == NULL || entry->rows != rows || entry->cols != cols ||
		cols % info->block_weights != 0 ||
		(llm_role_is_norm(role) && info->type != LLM_F32) ||
		entry->offset % LLM_IMAGE_ALIGNMENT != 0 || entry->offset < header->header_bytes ||
		entry->offset > header->size || entry->n_bytes > header->size - entry->offset ||
		entry->n_bytes != llm_image_entry_size(role, info->type, rows, cols))
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "model image has a bad entry %" PRId32,
						slot);
	return true;
}

static void
fill_slot(LlmModel *model, int32_t slot, const uint8_t *image, const LlmImageEntry *entry)
{
	const uint8_t *data = image + entry->offset;
	LlmRole		role = llm_slot_role(slot);
	LlmLayer   *layer = slot < LLM_GLOBAL_SLOTS ? NULL :
		&model->layers[(slot - LLM_GLOBAL_SLOTS) / LLM_LAYER_SLOTS];
	LlmMatrix	matrix;

	if (entry->n_bytes == 0)
		return;
	matrix.type = (LlmTensorType) entry->type;
	matrix.rows = entry->rows;
	matrix.cols = entry->cols;
	matrix.n_panels = (entry->rows + LLM_PANEL_ROWS - 1) / LLM_PANEL_ROWS;
	matrix.panel_bytes = llm_panel_bytes(matrix.type, matrix.cols);
	matrix.panels = data;
	switch (role)
	{
		case LLM_ROLE_EMBEDDING:
			model->embedding = matrix;
			break;
		case LLM_ROLE_OUTPUT_NORM:
			model->output_norm = (const float *) data;
			break;
		case LLM_ROLE_OUTPUT:
			model->output = matrix;
			break;
		case LLM_ROLE_ATTENTION_NORM:
			layer->attention_norm = (const float *) data;
			break;
		case LLM_ROLE_FFN_NORM:
			layer->ffn_norm = (const float *) data;
			break;
		case LLM_ROLE_Q:
			layer->q = matrix;
			break;
		case LLM_ROLE_K:
			layer->k = matrix;
			break;
		case LLM_ROLE_V:
			layer->v = matrix;
			break;
		case LLM_ROLE_ATTENTION_OUTPUT:
			layer->attention_output = matrix;
			break;
		case LLM_ROLE_GATE:
			layer->gate = matrix;
			break;
		case LLM_ROLE_UP:
			layer->up = matrix;
			break;
		case LLM_ROLE_DOWN:
			layer->down = matrix;
			break;
		case LLM_N_ROLES:
			break;
	}
}
