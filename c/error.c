/* The text of every error, and the version. strerror(3) knows less, and may allocate. */
#include "filz.h"

#include <errno.h>

static const char *text_of_filz(int error)
{
    static const char *const texts[] = {
        [-FILZ_ECAPACITY] = "the capacity is at most one page, or more than there are addresses",
        [-FILZ_EVARIABLE] = "FILZ_CAPACITY isn't a number of bytes, or FILZ_ADVICE isn't one of its words",
        [-FILZ_EFLAGS] = "unknown flags, flags that exclude each other, or no path where one is needed",
        [-FILZ_EPATH] = "the path is too long",
        [-FILZ_ENOTFILE] = "it isn't a regular file",
        [-FILZ_ELINKS] = "the file has more than one name",
        [-FILZ_EOWNER] = "the file belongs to another user",
        [-FILZ_EMODE] = "other users may write the file, or it is read-only",
        [-FILZ_EINUSE] = "another heap, or another program, has the file open",
        [-FILZ_ENOTHEAP] = "the file isn't a heap of filz, or has none in it yet; it is left as it is",
        [-FILZ_EPERSISTENT] = "the file is a persistent heap, and is left as it is",
        [-FILZ_EFORMAT] = "the heap in the file has another format",
        [-FILZ_EWORDSIZE] = "a program of another word size, or byte order, made the heap in the file",
        [-FILZ_EPAGESIZE] = "the heap in the file was made for another page size",
        [-FILZ_ETAG] = "the heap in the file has another tag",
        [-FILZ_EDAMAGED] = "the heap in the file is damaged",
        [-FILZ_ETRUNCATED] = "the file was truncated: it ends before its heap does",
        [-FILZ_ETOOSMALL] = "the heap in the file is larger than the capacity",
        [-FILZ_EBASE] = "something else is at the address of the heap in the file",
        [-FILZ_ECLOSED] = "the heap isn't open",
        [-FILZ_EADDRESS] = "the address isn't in the heap",
        [-FILZ_EUNNAMED] = "the heap's file has no name, or doesn't hold all of the heap",
        [-FILZ_EFORKED] = "the heap belongs to the parent of this process",
    };
    unsigned index = 0u - (unsigned)error;
    return index < sizeof(texts) / sizeof(texts[0]) ? texts[index] : "an unknown error";
}

static const char *text_of_system(int error)
{
    static const struct {
        int error;
        const char *text;
    } texts[] = {
        {EACCES, "permission denied"},
        {EPERM, "operation not permitted"},
        {ENOENT, "no such file or directory"},
        {ENOTDIR, "a part of the path isn't a directory"},
        {EISDIR, "it is a directory"},
        {EEXIST, "it exists already"},
        {ELOOP, "it is a symbolic link"},
        {ENAMETOOLONG, "the path is too long"},
        {EROFS, "the file system is read-only"},
        {ENOSPC, "no disk space is left"},
        {EDQUOT, "the disk quota is used up"},
        {EFBIG, "the file-size limit is too low"},
        {EMFILE, "too many open files"},
        {ENFILE, "too many open files"},
        {ENOMEM, "not enough memory or address space"},
        {EAGAIN, "a resource is short for now, such as memory that may be locked"},
        {EIO, "the disk failed"},
        {ENODEV, "the file system can't do it"},
        {EOPNOTSUPP, "the file system can't do it"},
        {EINVAL, "the system can't do it with this file"},
        {EBADF, "the file was closed"},
        {EBUSY, "the file is in use"},
        {ETXTBSY, "the file is in use"},
        {ESTALE, "the file is gone"},
        {EXDEV, "the two names are on different file systems"},
        {ENOLCK, "no locks are left"},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].error == error)
            return texts[i].text;
    return "the system refused";
}

const char *filz_error_text(int error)
{
    if (error == 0)
        return "success";
    return error < 0 ? text_of_filz(error) : text_of_system(error);
}

const char *filz_version(void)
{
    return FILZ_VERSION;
}
