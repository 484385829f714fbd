/* Lists that grow at their end: a pointer, a count, and the room behind it. */
#ifndef LF_BASE_LIST_H
#define LF_BASE_LIST_H

#include "core/base/must.h"

/* Room for one more element of `size` bytes behind `count` of them; *room counts
 * elements. Owned by the caller. */
static inline void *list_grown(void *list, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return list;
	*room = *room ? *room * 2 : 64;
	return must_realloc(list, *room * size);
}

#define LIST_APPEND(list, count, room, item)                                                                 \
	do {                                                                                                 \
		(list) = list_grown((list), (count), &(room), sizeof *(list));                               \
		(list)[(count)++] = (item);                                                                  \
	} while (0)

#endif
