/* The life of one far page, checked exhaustively: fault-handler/page_word.h, resolver.cc,
 * runtime/residency/evictor.cc, copy_out.cc, write_back.cc, pins.h.
 *
 * One page is enough: pages share no state but the cluster's lock and its staging slot, and both are here. What is
 * modelled is every order in which threads may interleave between atomic steps: a compare-and-swap on the page's
 * word, one kernel call, one copy of the page's bytes, one answer of the node.
 *
 *   threads   two that read and write the page (and fault on it), an evictor, a writer-back, one that discards,
 *             one that pins the page and lets the kernel use it
 *   property  whoever reads the page, from user space or in the kernel, sees the last value written (`truth`);
 *             a pinned page is never absent; the process never blocks for ever
 *
 * Content is a small number; 0 is a page of zeros. ABSENT is no bytes at all. Each GUARD_x that tests/model/
 * page_protocol.sh removes (-DNO_GUARD_x) stands for one rule of the protocol, and must make the check fail.
 */
#define ABSENT 7

/* Eviction is by MOVE, or with -DWITH_COPY by copying: freeze, read, and then store at once or stage, or thaw. */

#ifndef STEPS
#define STEPS 2            /* accesses of each program thread, and rounds of each servant */
#endif

mtype = { untouched, fetching, resident, staged, writing_back, remote };

mtype state = untouched;   /* the word: state ... */
bit busy = 0;              /* ... some thread owns the page */
bit writing = 0;           /* ... a write to the node is in flight, whatever the state */
bit has_frame = 0;         /* ... the node holds a frame whose content has hash `hash` */
byte hash = 0;             /* recorded content */

byte mapped = ABSENT;      /* the page table entry of the process */
byte in_staging = ABSENT;  /* bytes in the staging slot */
byte on_node = ABSENT;     /* the node's frame */
bit cluster_lock = 0;
bit slot_held = 0;         /* the cluster has its staging slot */
byte pins = 0;             /* published pins on the page */

bit frozen = 0;            /* the entry is write-protected: a writer faults, a reader does not */
bit readable = 1;          /* munmap has not taken the mapping away */
bit unreachable = 0;       /* ... and the word says that it is about to (kProtected) */

byte truth = 0;            /* the value that a read must see */
byte next_value = 1;       /* values written are 1, 2, 3, 1, ... so that stale bytes differ from fresh ones */

#define IDLE (busy == 0)

/* claim: compare-and-swap of the word from the value that was looked at */
#ifndef NO_GUARD_BUSY
#define CLAIM(from) atomic { (IDLE && state == from) -> busy = 1 }
#else
#define CLAIM(from) atomic { (state == from) -> busy = 1 }
#endif
#define RELEASE(to) atomic { state = to; busy = 0 }

inline map_page(value) {
  atomic { assert(mapped == ABSENT); assert(!frozen); mapped = value }
}

/* Resolver::bring_in: returns once the page was resident at some moment */
inline resolve() {
  do
  :: atomic { state == resident && IDLE -> break }
  :: CLAIM(untouched) ->
       state = fetching;
       map_page(0);
       RELEASE(resident);
       break
  :: CLAIM(remote) ->
       state = fetching;
       bytes = on_node;
       assert(bytes == hash);   /* in the program: the process is stopped */
       map_page(bytes);
       RELEASE(resident);
       break
  :: CLAIM(staged) ->
#ifdef WITH_COPY
       /* the copy's frame is given back with the slot */
       bytes = in_staging;
       assert(bytes != ABSENT);
       map_page(bytes);
       RELEASE(resident);
       break
#else
       atomic { assert(in_staging != ABSENT); assert(mapped == ABSENT); mapped = in_staging; in_staging = ABSENT }
       RELEASE(resident);
       break
#endif
  :: CLAIM(writing_back) ->
       /* the writer still needs the bytes: copy, do not move */
       bytes = in_staging;
       assert(bytes != ABSENT);
       map_page(bytes);
       RELEASE(resident);
       break
  od
}

proctype Program() {
  byte bytes;
  byte left = STEPS;
  do
  :: left == 0 -> break
  :: left > 0 ->
       left--;
       do
       :: atomic { mapped != ABSENT -> assert(mapped == truth) } break                        /* read */
       :: atomic { mapped != ABSENT && !frozen -> mapped = next_value; truth = next_value;    /* write */
                   next_value = (next_value % 3) + 1 } break
       :: mapped == ABSENT || frozen -> resolve()
       od
  od
}

/* A system call on far memory in signal mode: publish, make resident, let the kernel use the page. */
proctype Pinner() {
  byte bytes;
  byte left = STEPS;
  do
  :: left == 0 -> break
  :: left > 0 ->
       left--;
       pins++;
       resolve();
       /* the kernel may look at any moment until the call returns */
       atomic { assert(mapped != ABSENT); assert(mapped == truth); assert(!frozen) }
       atomic { assert(mapped != ABSENT); assert(mapped == truth); assert(!frozen) }
       pins--
  od
}

#ifdef WITH_COPY
/* What happens to a page that the evictor owns: CopyOut::to_store, CopyOut::to_staging, or a page that stays. */
inline evict_claimed() {
#ifndef NO_GUARD_FREEZE
  frozen = 1;
#endif
  if
  :: skip ->                                   /* it was only spanned by the call for its neighbours */
#ifndef NO_GUARD_THAW
       frozen = 0;
#endif
       atomic { assert(!frozen); state = resident; busy = 0 }
  :: skip ->                                   /* to the store, at once */
       assert(readable);
       bytes = mapped;
       if
       :: has_frame == 1 && hash == bytes
       :: !(has_frame == 1 && hash == bytes) && bytes == 0 -> on_node = ABSENT
       :: !(has_frame == 1 && hash == bytes) && bytes != 0 -> on_node = bytes
       fi;
       hash = bytes;
       has_frame = (bytes != 0);
       atomic { mapped = ABSENT; frozen = 0 }
       if
       :: bytes != 0 -> RELEASE(remote)
       :: bytes == 0 -> RELEASE(untouched)
       fi
  :: skip ->                                   /* into staging */
       assert(readable);
       bytes = mapped;
       atomic { slot_held = 1; in_staging = bytes }
       atomic { mapped = ABSENT; frozen = 0 }
       RELEASE(staged)
  fi
}
#else
inline evict_claimed() {
  slot_held = 1;
#ifndef NO_GUARD_STALE_STAGING
  in_staging = ABSENT;                         /* bytes left by a page that was copied back or discarded */
#endif
  /* UFFDIO_MOVE: refuses when something is there already */
  atomic { assert(in_staging == ABSENT); assert(mapped != ABSENT); in_staging = mapped; mapped = ABSENT }
  RELEASE(staged)
}
#endif

proctype Evictor() {
  byte left = STEPS;
  bit is_pinned;
  byte bytes;
  do
  :: left == 0 -> break
  :: left > 0 ->
       left--;
#ifndef NO_GUARD_CLUSTER_LOCK
       if
       :: atomic { cluster_lock == 0 -> cluster_lock = 1 }
       :: cluster_lock == 1 -> goto next       /* only ever tried */
       fi;
#endif
       if
       :: atomic { IDLE && state == resident && !writing && !unreachable -> busy = 1 }
       :: !(IDLE && state == resident && !writing && !unreachable) -> goto unlock
       fi;
#ifndef NO_GUARD_PIN_AFTER_CLAIM
       is_pinned = (pins > 0);
       if
       :: is_pinned -> RELEASE(resident); goto unlock
       :: else
       fi;
#endif
       evict_claimed();
unlock:
#ifndef NO_GUARD_CLUSTER_LOCK
       cluster_lock = 0;
#endif
next:  skip
  od
}

proctype WriterBack() {
  byte left = STEPS;
  byte sent;
  bit is_clean;
  bit is_ours;
  do
  :: left == 0 -> break
  :: left > 0 ->
       left--;
#ifndef NO_GUARD_CLUSTER_LOCK
       if
       :: atomic { cluster_lock == 0 -> cluster_lock = 1 }
       :: cluster_lock == 1 -> goto next
       fi;
#endif
       if
       :: slot_held == 0 -> goto unlock
       :: slot_held == 1
       fi;
       is_ours = 0;
       if
       :: atomic { IDLE && state == staged -> busy = 1 } ->
#ifndef NO_GUARD_WRITING_STATE
            atomic { state = writing_back; writing = 1; busy = 0 }
#else
            atomic { writing = 1; busy = 0 }     /* left takeable by MOVE */
#endif
            is_ours = 1
       :: IDLE && state != staged                 /* taken back or discarded: only its bytes may be left */
       fi;
       if
       :: is_ours ->
            sent = in_staging;
            assert(sent != ABSENT);
            is_clean = (has_frame == 1 && hash == sent);
            if
            :: is_clean
            :: !is_clean && sent == 0 ->
                 on_node = ABSENT                /* a page of zeros needs no frame */
            :: !is_clean && sent != 0 ->
                 on_node = sent
            fi;
            /* the answer: claim whatever its state */
            atomic { IDLE -> busy = 1 }
            hash = sent;
            has_frame = (sent != 0);
            writing = 0;
            assert(has_frame == 0 || on_node == hash);
            if
            :: state == writing_back && sent != 0 -> RELEASE(remote)
            :: state == writing_back && sent == 0 -> RELEASE(untouched)
            :: state != writing_back -> busy = 0
            fi
       :: else
       fi;
       /* the slot's bytes are dropped and the slot is free again */
#ifdef NO_GUARD_CLUSTER_LOCK
       in_staging = ABSENT;
       slot_held = 0;
#else
       atomic { in_staging = ABSENT; slot_held = 0 }
#endif
unlock:
#ifndef NO_GUARD_CLUSTER_LOCK
       cluster_lock = 0;
#endif
next:  skip
  od
}

/* madvise(DONTNEED), munmap, free: contents are dropped here and on the node. The program promises that no thread
 * of its own uses the page at that moment (`truth` changes with the call), but servants may be at work on it. */
proctype Discarder() {
  byte left = 1;
  do
  :: left == 0 -> break
  :: left > 0 ->
       left--;
#ifdef WITH_COPY
       /* munmap: an evictor may be reading the page, so the word says first that the mapping goes */
#ifndef NO_GUARD_UNREACHABLE_MARK
       atomic { IDLE -> busy = 1 }
       atomic { unreachable = 1; busy = 0 }
#endif
       readable = 0;
#endif
#ifndef NO_GUARD_DISCARD_WAITS_FOR_WRITE
       atomic { IDLE && writing == 0 -> busy = 1 }
#else
       atomic { IDLE -> busy = 1 }
#endif
       if
       :: has_frame == 1 -> on_node = ABSENT; has_frame = 0
       :: else
       fi;
       hash = 0;
       /* from the drop on, whoever reads sees zeros */
       atomic { mapped = ABSENT; truth = 0 }
       atomic { state = untouched; busy = 0; unreachable = 0; readable = 1 }
  od
}

init {
  atomic {
    run Program();
    run Program();
    run Evictor();
    run WriterBack();
#ifdef WITH_DISCARD
    run Discarder();
#endif
#ifdef WITH_PIN
    run Pinner();
#endif
  }
}
