/* mimalloc, which gives malloc and its like other names. */
#include <mimalloc-override.h>

#include "malloc.h"
