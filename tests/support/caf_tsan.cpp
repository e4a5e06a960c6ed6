// For ThreadSanitizer builds of tests that use CAF. Debian's libcaf_core is not instrumented, so its
// synchronisation (reference counts, mailboxes, hand-over of actors between threads) is invisible and
// everything that passes through it looks like a race. Suppressing libcaf would hide our own races too.
// Instead these definitions stand in front of the library's (calls inside it go through the PLT) and tell the
// sanitizer about the edges; then they call the original. Linked into such test programs only.
#include <dlfcn.h>

#include <caf/all.hpp>
#include <caf/detail/sync_request_bouncer.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}

namespace {

template <class Function>
Function original(const char* symbol) {
  void* found = dlsym(RTLD_NEXT, symbol);
  if (found == nullptr) {
    std::fprintf(stderr, "caf_tsan: libcaf_core has no %s\n", symbol);
    std::abort();
  }
  Function function;
  static_assert(sizeof function == sizeof found);
  std::memcpy(&function, &found, sizeof function);
  return function;
}

}  // namespace

namespace caf {

// Counts of references are counted here, with atomics that the sanitizer sees: an edge told before or after
// the library's own decrement could be told in another order than the decrements happen in, and who frees the
// last would then look like a race with who let go just before.

void ref_counted::deref() const noexcept {
  if (rc_.fetch_sub(1, std::memory_order_acq_rel) == 1) request_deletion(true);
}

void intrusive_ptr_release_weak(actor_control_block* block) {
  if (block->weak_refs.fetch_sub(1, std::memory_order_acq_rel) == 1) block->block_dtor(block);
}

void intrusive_ptr_release(actor_control_block* block) {
  if (block->strong_refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  block->data_dtor(block->get());
  intrusive_ptr_release_weak(block);
}

void scheduled_actor::enqueue(mailbox_element_ptr element, execution_unit* executor) {
  static const auto next = original<void (*)(scheduled_actor*, mailbox_element_ptr, execution_unit*)>(
      "_ZN3caf15scheduled_actor7enqueueESt10unique_ptrINS_15mailbox_elementENS_6detail8disposerEEPNS_"
      "14execution_unitE");
  __tsan_release(this);
  __tsan_release(element.get());
  next(this, std::move(element), executor);
}

/// Sees each message that an actor leaves unread at its end, before that message is destroyed.
void detail::sync_request_bouncer::operator()(const mailbox_element& element) const {
  static const auto next = original<void (*)(const sync_request_bouncer*, const mailbox_element&)>(
      "_ZNK3caf6detail20sync_request_bouncerclERKNS_15mailbox_elementE");
  __tsan_acquire(const_cast<mailbox_element*>(&element));
  next(this, element);
}

void scheduled_actor::launch(execution_unit* executor, bool lazy, bool hide) {
  static const auto next = original<void (*)(scheduled_actor*, execution_unit*, bool, bool)>(
      "_ZN3caf15scheduled_actor6launchEPNS_14execution_unitEbb");
  __tsan_release(this);
  next(this, executor, lazy, hide);
}

bool scheduled_actor::activate(execution_unit* executor) {
  static const auto next = original<bool (*)(scheduled_actor*, execution_unit*)>(
      "_ZN3caf15scheduled_actor8activateEPNS_14execution_unitE");
  __tsan_acquire(this);
  const bool result = next(this, executor);
  __tsan_release(this);
  return result;
}

auto scheduled_actor::reactivate(mailbox_element& element) -> activation_result {
  static const auto next = original<activation_result (*)(scheduled_actor*, mailbox_element&)>(
      "_ZN3caf15scheduled_actor10reactivateERNS_15mailbox_elementE");
  __tsan_acquire(this);
  const auto result = next(this, element);
  __tsan_release(this);
  return result;
}

void blocking_actor::enqueue(mailbox_element_ptr element, execution_unit* executor) {
  static const auto next = original<void (*)(blocking_actor*, mailbox_element_ptr, execution_unit*)>(
      "_ZN3caf14blocking_actor7enqueueESt10unique_ptrINS_15mailbox_elementENS_6detail8disposerEEPNS_"
      "14execution_unitE");
  __tsan_release(this);
  __tsan_release(element.get());
  next(this, std::move(element), executor);
}

intrusive::task_result blocking_actor::mailbox_visitor::operator()(mailbox_element& element) {
  static const auto next = original<intrusive::task_result (*)(mailbox_visitor*, mailbox_element&)>(
      "_ZN3caf14blocking_actor15mailbox_visitorclERNS_15mailbox_elementE");
  __tsan_acquire(&element);
  return next(this, element);
}

mailbox_element_ptr blocking_actor::dequeue() {
  static const auto next =
      original<mailbox_element_ptr (*)(blocking_actor*)>("_ZN3caf14blocking_actor7dequeueEv");
  auto element = next(this);
  __tsan_acquire(this);
  return element;
}

void blocking_actor::await_data() {
  static const auto next = original<void (*)(blocking_actor*)>("_ZN3caf14blocking_actor10await_dataEv");
  next(this);
  __tsan_acquire(this);
}

bool blocking_actor::await_data(timeout_type deadline) {
  static const auto next = original<bool (*)(blocking_actor*, timeout_type)>(
      "_ZN3caf14blocking_actor10await_dataENSt6chrono10time_pointINS1_3_V212system_clockENS1_"
      "8durationIlSt5ratioILl1ELl"
      "1000000000EEEEEE");
  const bool data = next(this, deadline);
  __tsan_acquire(this);
  return data;
}

}  // namespace caf
