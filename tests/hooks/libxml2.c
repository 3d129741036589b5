/* libxml2: free, malloc, realloc and strdup, for all of the process. */
#define LIBRARY "libxml2"
#include "library.h"

#include <libxml/parser.h>
#include <libxml/xmlmemory.h>
#include <libxml/xpath.h>

enum { BOOKS = 1000 };

static enum source xml_source;

static void use(enum source source)
{
    xml_source = source;
}

static bool begin(void)
{
    if (xml_source == FILZ)
        xmlMemSetup(hook_free, hook_malloc, hook_realloc, hook_strdup);
    else
        xmlMemSetup(counted_free, counted_malloc, counted_realloc, counted_strdup);
    return xmlInitMemory() == 0;
}

static char *new_text(void)
{
    static char text[BOOKS * 100 + 100];
    size_t length = (size_t)sprintf(text, "<library>\n");
    for (int i = 0; i < BOOKS; i++)
        length +=
            (size_t)sprintf(text + length, "<book id=\"b%d\"><title>Title &lt;%d&gt;</title><year>%d</year></book>\n",
                            i, i, 1900 + i % 100);
    sprintf(text + length, "</library>\n");
    return text;
}

static void say_nothing(void *context, const char *format, ...)
{
    (void)context, (void)format;
}

static bool memory_ran_out(void)
{
    const xmlError *error = xmlGetLastError();
    return error != NULL && error->code == XML_ERR_NO_MEMORY;
}

static const char *look_up(xmlDoc *document)
{
    xmlXPathContext *context = xmlXPathNewContext(document);
    if (context == NULL)
        return out_of_memory;
    xmlXPathObject *found = xmlXPathEvalExpression(BAD_CAST "count(//book[year >= 1990]/title)", context);
    const char *answer = NULL;
    if (found == NULL)
        answer = out_of_memory;
    else if (found->floatval != BOOKS / 10)
        answer = memory_ran_out() ? out_of_memory : "XPath counts other books";
    xmlXPathFreeObject(found);
    xmlXPathFreeContext(context);
    return answer;
}

static const char *write_again(xmlDoc *document, const char *text)
{
    xmlChar *written = NULL;
    int length = 0;
    xmlDocDumpMemory(document, &written, &length);
    if (written == NULL)
        return out_of_memory;
    const char *body = strstr((const char *)written, "<library>");
    bool same = body != NULL && strcmp(body, text) == 0;
    xmlFree(written);
    return same ? NULL : memory_ran_out() ? out_of_memory : "what was parsed isn't what is written";
}

static const char *run(void)
{
    xmlSetGenericErrorFunc(NULL, say_nothing);
    if (!begin())
        return out_of_memory;
    xmlInitParser();
    xmlResetLastError();
    char *text = new_text();
    xmlDoc *document = xmlReadMemory(text, (int)strlen(text), "library.xml", NULL, XML_PARSE_NOERROR);
    const char *answer = document != NULL ? look_up(document) : out_of_memory;
    if (answer == NULL)
        answer = write_again(document, text);
    xmlFreeDoc(document);
    xmlCleanupParser();
    return answer;
}

int main(void)
{
    const struct CMUnitTest tests[] = {LIBRARY_TESTS};
    return cmocka_run_group_tests_name("libxml2", tests, NULL, NULL);
}
