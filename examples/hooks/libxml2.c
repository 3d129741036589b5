/* libxml2: documents and all that the library keeps are in one heap. xmlMemSetup comes before any other call, and
 * xmlCleanupParser before the heap is closed. */
#include <filz/hooks.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdio.h>

static filz_mmap heap = FILZ_MMAP_INIT;
FILZ_HOOKS(xml, &heap)

static int count(const xmlNode *first, const char *name)
{
    int found = 0;
    for (const xmlNode *node = first; node != NULL; node = node->next)
        found += xmlStrEqual(node->name, BAD_CAST name) + count(node->children, name);
    return found;
}

int main(void)
{
    if (xmlMemSetup(xml_free, xml_malloc, xml_realloc, xml_strdup) != 0)
        return 1;
    static const char text[] = "<list><item/><item><item/></item><other/></list>";
    xmlDoc *document = xmlReadMemory(text, sizeof(text) - 1, "list.xml", NULL, 0);
    if (document == NULL)
        return 1;
    printf("%d items, ", count(xmlDocGetRootElement(document), "item"));
    puts(filz_mmap_owns(&heap, document) ? "in the heap" : "elsewhere");
    xmlFreeDoc(document);
    xmlCleanupParser();
    return filz_mmap_close(&heap);
}
