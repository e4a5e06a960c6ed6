#ifndef TROUPE_PLATFORM_DEVICE_CODES_H
#define TROUPE_PLATFORM_DEVICE_CODES_H

/* The platform floor's error codes, usable from C; `errc.hpp` gives them their C++ names.
 *
 * A device library answers 0 for success, one of these, or a code of a floor below where that is what went
 * wrong (1..100: the on-chip fatal codes of a chip program; 1000..1999: communication, e.g. peer_lost).
 * Numbers are stable: they are stored in logs and cross process borders. */
enum troupe_device_code {
  TROUPE_DEVICE_OK = 0,

  /* Wrong arguments, or a wrong state: the same call will fail again. */
  TROUPE_DEVICE_INVALID_ARGUMENT = 2001, /* null pointer, unknown enum value, absurd count, zero size */
  TROUPE_DEVICE_INVALID_STATE = 2002,    /* the call does not fit the context's state (no device set, ...) */
  TROUPE_DEVICE_BAD_ADDRESS = 2003,      /* foreign, freed or interior device address */
  TROUPE_DEVICE_OUT_OF_RANGE = 2004,     /* a range that leaves its allocation, or a size that overflows */
  TROUPE_DEVICE_DOUBLE_FREE = 2005,      /* device memory freed before */
  TROUPE_DEVICE_UNKNOWN_CALLABLE = 2006, /* no such callable id, or no such name in the module */
  TROUPE_DEVICE_ALREADY_REGISTERED = 2007, /* the context has another callable of that name */
  TROUPE_DEVICE_BAD_CALLABLE = 2008,       /* bytes that cannot be loaded, no entry point, wrong kind */
  TROUPE_DEVICE_BAD_TASK_ARGUMENTS = 2009, /* arguments that do not fit the callable's signature or limits */
  TROUPE_DEVICE_NO_SUCH_DEVICE = 2010,     /* device number out of range */
  TROUPE_DEVICE_UNKNOWN_WINDOW = 2011,     /* no such window id */
  TROUPE_DEVICE_BAD_WINDOW = 2012,     /* a blob that does not fit: magic, size, rank, generation, owner */
  TROUPE_DEVICE_UNKNOWN_OPTION = 2013, /* option name or value that this platform does not know */
  TROUPE_DEVICE_REENTRANT_CALL = 2014, /* the ABI was called from inside a completion callback */

  /* Limits of the device: the call may succeed later, or on another device. */
  TROUPE_DEVICE_OUT_OF_MEMORY = 2020,     /* the device's memory limit is reached (text: a memory map) */
  TROUPE_DEVICE_QUEUE_FULL = 2021,        /* more unfinished runs than the context takes; launch later */
  TROUPE_DEVICE_CAPACITY_EXCEEDED = 2022, /* more blocks, clusters or threads than the chip has */
  TROUPE_DEVICE_UNSUPPORTED = 2023,       /* an optional function that this library lacks */

  /* How a run ended. */
  TROUPE_DEVICE_KERNEL_FAILED = 2030,     /* a kernel or chip program threw; text names it */
  TROUPE_DEVICE_POISONED = 2031,          /* skipped: a run it depends on failed */
  TROUPE_DEVICE_ABORTED = 2032,           /* ended by abort, reset or destroy */
  TROUPE_DEVICE_DEADLOCK = 2033,          /* nothing runs, nothing can start, something waits */
  TROUPE_DEVICE_LOST = 2034,              /* the device died; the context answers nothing else any more */
  TROUPE_DEVICE_DEADLINE_EXCEEDED = 2035, /* a user's deadline gave up on it */

  /* The life of a context and of its library. */
  TROUPE_DEVICE_BUSY = 2040,             /* a kernel does not return: the context cannot be destroyed */
  TROUPE_DEVICE_FINALIZED = 2041,        /* the context was finalized or destroyed */
  TROUPE_DEVICE_QUARANTINED = 2042,      /* given up on: its thread and memory are kept, the chip is lost */
  TROUPE_DEVICE_LOAD_FAILED = 2043,      /* the library cannot be opened */
  TROUPE_DEVICE_MISSING_SYMBOL = 2044,   /* the library lacks a required function */
  TROUPE_DEVICE_VERSION_MISMATCH = 2045, /* the library speaks another major version of this ABI */
  TROUPE_DEVICE_INTERNAL = 2046,         /* a defect of the platform: an exception that it did not expect */
  TROUPE_DEVICE_SYSTEM = 2047            /* the operating system refused: threads, mappings, files */
};

#endif
