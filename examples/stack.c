/* A heap that is a fixed buffer. A function that needs memory for a while takes a mark, and rewinds to it. */
#include <filz/stack.h>
#include <stdio.h>
#include <string.h>

FILZ_STACK(scratch, 4096)

/* Prints the words of `text` from the last to the first. */
static int print_backwards(const char *text)
{
    size_t mark = filz_stack_mark(scratch);
    char *copy = filz_stack_alloc(scratch, strlen(text) + 1, 1);
    char **words = filz_stack_alloc(scratch, strlen(text) * sizeof(char *), _Alignof(char *));
    if (copy == NULL || words == NULL) {
        filz_stack_rewind(scratch, mark);
        return -1;
    }
    size_t count = 0;
    strcpy(copy, text);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
        words[count++] = word;
    while (count-- > 0)
        printf("%s%s", words[count], count > 0 ? " " : "\n");
    filz_stack_rewind(scratch, mark);
    return 0;
}

int main(void)
{
    const char *texts[] = {"first is last the", "back goes rewind and place the is mark a"};
    for (size_t i = 0; i < 2; i++)
        if (print_backwards(texts[i]) != 0)
            return 1;
    printf("%zu bytes used\n", filz_stack_mark(scratch));
    return 0;
}
