#include "troupe/comm/window.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <string>

#include "system_error.hpp"
#include "windows/layout.hpp"

namespace troupe::comm {

namespace {

/// Whole pages: the header, the window, the slack behind it. Cannot overflow: bytes are at most
/// max_window_bytes.
std::uint64_t memory_bytes(std::uint64_t bytes) {
  constexpr std::uint64_t page = window_header_bytes;
  if (bytes == 0) return page;
  return page + (bytes + window_slack + page - 1) / page * page;
}

std::string describe(const WindowSpec& spec) { return "the window of rank " + std::to_string(spec.rank); }

Result<void*> map(int fd, std::uint64_t bytes, const WindowSpec& spec) {
  void* mapping = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapping == MAP_FAILED)
    return system_error("mapping " + std::to_string(bytes) + " bytes for " + describe(spec), errno,
                        "address space or the number of mappings is limited (ulimit -v, vm.max_map_count)");
  return mapping;
}

/// Everything that makes touching the mapping safe: really a memfd of that size which nobody can shrink.
Result<void> check_memory(const WindowOffer& offer, int fd, std::uint64_t bytes) {
  const std::string who = describe(offer.spec);
  struct stat status {};
  if (::fstat(fd, &status) != 0)
    return Error(Errc::stale, who + " is gone: its descriptor is closed", "the rank has withdrawn or died");
  if (status.st_dev != offer.device || status.st_ino != offer.inode)
    return Error(Errc::stale, who + " is gone: its descriptor means something else now");
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || (seals & F_SEAL_GROW) == 0)
    return Error(Errc::bad_blob, who + " is not sealed against resizing");
  if (status.st_size < 0 || static_cast<std::uint64_t>(status.st_size) != bytes)
    return Error(Errc::bad_blob, who + " has " + std::to_string(status.st_size) +
                                     " bytes of memory instead of " + std::to_string(bytes));
  return {};
}

Result<void> check_agreement(const WindowSpec& expected, const WindowSpec& found, const std::string& who) {
  if (found.domain != expected.domain)
    return Error(Errc::stale, who + " belongs to another domain", "blobs serve one domain, once");
  if (found.generation != expected.generation)
    return Error(Errc::stale, who + " is of generation " + std::to_string(found.generation) + ", this is " +
                                  std::to_string(expected.generation));
  if (found.ranks != expected.ranks)
    return Error(Errc::mismatch, who + " is for " + std::to_string(found.ranks) + " ranks, rank " +
                                     std::to_string(expected.rank) + " expects " +
                                     std::to_string(expected.ranks));
  if (found.bytes != expected.bytes)
    return Error(Errc::mismatch, who + " has " + std::to_string(found.bytes) + " bytes, rank " +
                                     std::to_string(expected.rank) + " expects " +
                                     std::to_string(expected.bytes));
  return {};
}

}  // namespace

Window::Window(Window&& other) noexcept
    : spec_(other.spec_),
      mapping_(std::exchange(other.mapping_, nullptr)),
      mapped_bytes_(std::exchange(other.mapped_bytes_, 0)),
      memory_(std::move(other.memory_)) {}

Window& Window::operator=(Window&& other) noexcept {
  if (this != &other) {
    if (mapping_ != nullptr) ::munmap(mapping_, mapped_bytes_);
    spec_ = other.spec_;
    mapping_ = std::exchange(other.mapping_, nullptr);
    mapped_bytes_ = std::exchange(other.mapped_bytes_, 0);
    memory_ = std::move(other.memory_);
  }
  return *this;
}

Window::~Window() {
  if (mapping_ != nullptr) ::munmap(mapping_, mapped_bytes_);
}

Result<Window> Window::create(const WindowSpec& spec, const Environment& environment) {
  if (auto valid = validate(spec); !valid) return valid.error();
  const std::uint64_t bytes = memory_bytes(spec.bytes);
  auto memory = environment.create_memory("troupe-window-" + std::to_string(spec.rank), bytes);
  if (!memory) return memory.error();
  auto mapping = map(memory->get(), bytes, spec);
  if (!mapping) return mapping.error();
  Window window;
  window.spec_ = spec;
  window.mapping_ = *mapping;
  window.mapped_bytes_ = bytes;
  window.memory_ = std::move(*memory);
  auto* header = new (window.mapping_) WindowHeader{};
  header->version = window_version;
  header->header_bytes = window_header_bytes;
  header->domain_high = spec.domain.high;
  header->domain_low = spec.domain.low;
  header->generation = spec.generation;
  header->rank = spec.rank;
  header->ranks = spec.ranks;
  header->bytes = spec.bytes;
  header->process = static_cast<std::uint64_t>(::getpid());
  header->processors = environment.processors();
  header->magic = window_magic;
  return window;
}

Result<Window> Window::import(const WindowSpec& expected, const WindowOffer& offer, FileDescriptor memory) {
  const std::string who = describe(offer.spec);
  if (auto agreed = check_agreement(expected, offer.spec, who); !agreed) return agreed.error();
  const std::uint64_t bytes = memory_bytes(offer.spec.bytes);
  if (auto sound = check_memory(offer, memory.get(), bytes); !sound) return sound.error();
  auto mapping = map(memory.get(), bytes, offer.spec);
  if (!mapping) return mapping.error();
  Window window;
  window.spec_ = offer.spec;
  window.mapping_ = *mapping;
  window.mapped_bytes_ = bytes;
  // The header is what the memory itself says; the blob was only somebody's word.
  const WindowHeader& header = window.header();
  if (header.magic != window_magic || header.version != window_version ||
      header.header_bytes != window_header_bytes)
    return Error(Errc::bad_blob, who + " has no window header of version " + std::to_string(window_version));
  const WindowSpec found{.domain = {header.domain_high, header.domain_low},
                         .generation = header.generation,
                         .rank = header.rank,
                         .ranks = header.ranks,
                         .bytes = header.bytes};
  if (auto agreed = check_agreement(expected, found, who); !agreed) return agreed.error();
  if (found.rank != offer.spec.rank)
    return Error(Errc::mismatch, who + " says that it is rank " + std::to_string(found.rank));
  return window;
}

std::byte* Window::base() const noexcept { return static_cast<std::byte*>(mapping_) + window_header_bytes; }

WindowHeader& Window::header() const noexcept { return *static_cast<WindowHeader*>(mapping_); }

Result<WindowOffer> Window::offer() const {
  struct stat status {};
  if (!memory_.valid() || ::fstat(memory_.get(), &status) != 0)
    return Error(Errc::wrong_state, describe(spec_) + " is not open for export");
  return WindowOffer{.spec = spec_,
                     .process = static_cast<std::uint64_t>(::getpid()),
                     .descriptor = memory_.get(),
                     .device = status.st_dev,
                     .inode = status.st_ino};
}

}  // namespace troupe::comm
