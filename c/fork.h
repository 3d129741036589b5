/* What happens to the open heaps at fork: see fork.c. */
#ifndef FILZ_FORK_H
#define FILZ_FORK_H

/* From now on a child that was forked without handlers is told from its parent. Under the lock. */
void filz_fork_watch(void);

/* In a child that was forked without handlers (_Fork, raw clone(2)): makes its heaps private. Before the lock is
 * taken. */
void filz_fork_notice(void);

#endif
