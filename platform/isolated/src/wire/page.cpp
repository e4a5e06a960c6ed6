#include "wire/page.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "troupe/comm/threads_hint.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::isolation {
namespace {

Error no_pages(const char* doing) {
  const int problem = errno;
  return Error(Errc::system,
               std::string(doing) + " shared memory: " + std::generic_category().message(problem),
               comm::limit_hint(problem));
}

template <std::size_t size>
void copy_text(char (&to)[size], const char* from) noexcept {
  const std::size_t length = from != nullptr ? ::strnlen(from, size - 1) : 0;
  if (length != 0) std::memcpy(to, from, length);
  to[length] = '\0';
}

template <std::size_t size>
std::string text_of(const char (&from)[size]) {
  return {from, ::strnlen(from, size)};
}

}  // namespace

Result<SharedPages> SharedPages::make(std::size_t bytes) {
  comm::FileDescriptor made(::memfd_create("troupe-chip", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!made.valid()) return no_pages("making");
  if (::ftruncate(made.get(), static_cast<off_t>(bytes)) != 0) return no_pages("making");
  // Else the other process could take memory away that is being looked at.
  if (::fcntl(made.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return no_pages("making");
  return map(std::move(made), bytes);
}

Result<SharedPages> SharedPages::map(comm::FileDescriptor descriptor, std::size_t bytes) {
  struct stat file {};
  if (::fstat(descriptor.get(), &file) != 0) return no_pages("mapping");
  if (bytes == 0 || file.st_size < 0 || static_cast<std::uint64_t>(file.st_size) < bytes) {
    errno = EINVAL;
    return no_pages("mapping");
  }
  void* base =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor.get(), 0);
  if (base == MAP_FAILED) return no_pages("mapping");
  SharedPages pages;
  pages.descriptor_ = std::move(descriptor);
  pages.base_ = static_cast<std::byte*>(base);
  pages.bytes_ = bytes;
  return pages;
}

SharedPages::SharedPages(SharedPages&& other) noexcept
    : descriptor_(std::move(other.descriptor_)),
      base_(std::exchange(other.base_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

SharedPages& SharedPages::operator=(SharedPages&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(base_, other.base_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

SharedPages::~SharedPages() {
  if (base_ != nullptr) ::munmap(base_, bytes_);
}

void Page::note(const troupe_running* running, std::uint64_t now) noexcept {
  const auto self = static_cast<std::uint64_t>(::pthread_self());
  Slot* mine = nullptr;
  const auto first = static_cast<std::size_t>((self >> 12U) * 0x9E3779B97F4A7C15U >> 32U) % slots.size();
  for (std::size_t i = 0; i < slots.size() && mine == nullptr; ++i) {
    auto& slot = slots[(first + i) % slots.size()];
    auto whose = slot.thread.load(std::memory_order_relaxed);
    if (whose == self) mine = &slot;
    if (whose != 0) continue;
    if (running == nullptr) return;
    if (slot.thread.compare_exchange_strong(whose, self, std::memory_order_relaxed)) mine = &slot;
  }
  if (mine == nullptr) return;  // more threads than anybody wants to hear of
  mine->version.fetch_add(1, std::memory_order_acq_rel);
  mine->inside = running != nullptr ? 1 : 0;
  if (running != nullptr) {
    mine->correlation = running->correlation;
    mine->since_ns = now;
    mine->core = running->core;
    mine->core_kind = running->core_kind;
    mine->block = running->block;
    copy_text(mine->what, running->what);
    copy_text(mine->name, running->name);
    copy_text(mine->task, running->task);
  }
  mine->version.fetch_add(1, std::memory_order_release);
}

void Page::say(std::string_view crash) noexcept {
  const auto length = std::min(crash.size(), sizeof sentence - 1);
  std::memcpy(sentence, crash.data(), length);
  sentence[length] = '\0';
  said.store(1, std::memory_order_release);
}

std::string Page::crash() const {
  return said.load(std::memory_order_acquire) != 0 ? text_of(sentence) : std::string();
}

// The writer is another process: a sanitizer, which does not know fences, sees nothing of it anyway.
#pragma GCC diagnostic push
#if defined(__SANITIZE_THREAD__)
#pragma GCC diagnostic ignored "-Wtsan"
#endif
std::vector<Running> Page::running() const {
  std::vector<Running> all;
  for (const auto& slot : slots) {
    if (slot.thread.load(std::memory_order_relaxed) == 0) continue;
    const auto version = slot.version.load(std::memory_order_acquire);
    if (version % 2 != 0 || slot.inside == 0) continue;
    Running one{slot.correlation, slot.since_ns,      slot.core,          slot.core_kind,
                slot.block,       text_of(slot.what), text_of(slot.name), text_of(slot.task)};
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (slot.version.load(std::memory_order_relaxed) == version) all.push_back(std::move(one));
  }
  return all;
}
#pragma GCC diagnostic pop

}  // namespace troupe::platform::isolation
