/* What the errors of filz_mmap_open, _set_root and _sync mean, in words. strerror(3) would say less, and may allocate.
 */
#include "filz/mmap.h"

#include <errno.h>

const char *filz_mmap_reason(int error)
{
    switch (error) {
    case EEXIST:
        return "the file isn't one of filz's to overwrite, and is left as it is";
    case EWOULDBLOCK:
        return "another heap, or another program, has the file open";
    case ELOOP:
        return "it is a symbolic link";
    case EMLINK:
        return "the file has more than one name";
    case EISDIR:
        return "it is a folder";
    case ENODEV:
        return "it isn't a regular file";
    case EPERM:
        return "the file belongs to another user";
    case EACCES:
        return "no permission, or others may write the file";
    case ENOENT:
        return "no such folder";
    case ENOTDIR:
        return "a part of the path isn't a folder";
    case EROFS:
        return "the file system is read-only";
    case ENOSPC:
        return "the disk is full";
    case EDQUOT:
        return "the quota is used up";
    case EFBIG:
        return "the file-size limit is too low";
    case EMFILE:
    case ENFILE:
        return "too many open files";
    case ENAMETOOLONG:
        return "the path is too long";
    case ENOMEM:
        return "the capacity doesn't fit into the address space";
    case EINVAL:
        return "not a capacity: a number of bytes, more than a page (or unknown flags, or a kept heap without a path)";
    case EBADF:
        return "the heap isn't open";
    case EFAULT:
        return "the address isn't one of the heap's";
    case EOPNOTSUPP:
        return "the heap's file has no name";
    case EIO:
        return "the disk failed";
    case EPROTONOSUPPORT:
        return "the heap in the file has another format";
    case ENOEXEC:
        return "a program of another word size, or byte order, made the heap in the file";
    case EDOM:
        return "the heap in the file was made for another page size";
    case EKEYREJECTED:
        return "the heap in the file has another tag";
    case EBADMSG:
        return "the heap in the file is damaged";
    case EOVERFLOW:
        return "the cursor of the heap in the file is past the end of the capacity";
    case ENODATA:
        return "the heap's file was cut short";
    case EADDRINUSE:
        return "something else is at the address of the heap in the file";
    default:
        return "the system refused";
    }
}
