/* A heap that is a file: stores numbers in it, and prints where they are and how full the heap is. */
#include <filz/mmap.h>
#include <stdio.h>

int main(void)
{
    filz_mmap heap = FILZ_MMAP_INIT;
    int error = filz_mmap_open(&heap); /* the first allocation opens it too, but doesn't return the error */
    if (error != 0) {
        fprintf(stderr, "mmap: %s\n", filz_error_text(error));
        return 1;
    }

    size_t count = 1000000;
    double *squares = filz_mmap_alloc(&heap, count * sizeof(double), _Alignof(double));
    if (squares == NULL) {
        perror("mmap");
        return 1;
    }
    for (size_t i = 0; i < count; i++)
        squares[i] = (double)i * (double)i;
    printf("the last square is %.0f\n", squares[count - 1]);

    filz_mmap_info info;
    if (filz_mmap_stats(&heap, &info) != 0)
        return 1;
    printf("%zu block in %s\n", info.blocks, info.path ? info.path : "an unnamed file");
    return filz_mmap_close(&heap);
}
