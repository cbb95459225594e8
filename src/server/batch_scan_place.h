/*
 * batch_scan_place.h
 *		What is shared by those who put batch scans into a finished plan.
 */
#ifndef LLAMA2_BATCH_SCAN_PLACE_H
#define LLAMA2_BATCH_SCAN_PLACE_H

#include "server/batch_scan.h"

/* The statement's. */
typedef struct Llama2Placing
{
	List	   *range_table;
	Llama2Subqueries subqueries;
	List	   *inval_items;	/* what the plan depends on besides */
	int			last_node_id;
	bool		has_placed;
	bool		wastes;			/* workers make calls for a few rows each */
} Llama2Placing;

/* What is known, above a plan, of how many of its rows are wanted. */
typedef struct Llama2PlanPosition
{
	bool		reads_all;		/* all, unless the statement is ended early */
	bool		needs_mark;		/* the parent marks and restores its position */
	bool		in_workers;		/* below a Gather */
	bool		stops_early;	/* a LIMIT or EXISTS above can have enough long before the last row */
	bool		wastes;			/* that is so for all workers together */
	bool		is_change;		/* rows are changed as they are read */
	Node	   *count;			/* not more than a LIMIT's, or NULL */
	Node	   *offset;
} Llama2PlanPosition;

/* Calls that the node makes while it does its own work; `below` is what is known below it. */
extern void Llama2PlaceBelow(Plan *plan, Llama2PlanPosition below, Llama2Placing *placing);

/* A batch scan over child with these expressions, in the place that `outer` had. */
extern Plan *Llama2MakeBatchScan(Plan *child, Plan *outer, List *targetlist, List *qual,
								 Llama2PlanPosition position, Llama2Placing *placing);
extern bool Llama2IsBatchScan(Plan *plan);

/* A target list of a plan's columns, for the plan above it; and expressions over these as a scan's. */
extern List *Llama2ColumnsOf(Plan *plan);
extern Node *Llama2OuterToScan(Node *node, void *context);

#endif							/* LLAMA2_BATCH_SCAN_PLACE_H */
