#include "troupe/comm/host_segment.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "system_error.hpp"
#include "troupe/comm/memory_left.hpp"
#include "troupe/comm/window.hpp"

namespace troupe::comm {

namespace {

// Where glibc keeps POSIX shared memory; linkat and stat need the path itself.
constexpr const char* directory = "/dev/shm";
constexpr std::uint64_t page = 4096;

/// The record in the last page, behind the user's bytes.
struct Footer {
  std::array<char, 8> magic = {'t', 'r', 'o', 'u', 'p', 'e', 'H', 'S'};
  std::uint32_t version = 1;
  std::uint32_t process = 0;  ///< for messages; the lock decides who lives
  std::uint64_t bytes = 0;
  std::uint64_t nonce = 0;
};
static_assert(sizeof(Footer) == 32);

std::uint64_t pages(std::uint64_t bytes) { return (bytes + page - 1) / page * page; }
std::string path_of(const std::string& name) { return directory + name; }

/// The record of a file, when it has one that fits the file.
std::optional<Footer> footer_of(int fd, const struct stat& status) {
  Footer footer;
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size < page || size % page != 0) return std::nullopt;
  if (::pread(fd, &footer, sizeof footer, static_cast<off_t>(size - page)) != sizeof footer)
    return std::nullopt;
  const Footer expected;
  if (footer.magic != expected.magic || footer.version != expected.version) return std::nullopt;
  if (footer.bytes > size || pages(footer.bytes) + page != size) return std::nullopt;
  return footer;
}

/// "a FIFO": what stands under a name instead of a file.
std::string kind_of(mode_t mode) {
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISLNK(mode)) return "a symbolic link";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

Error no_segment(const std::string& name, mode_t mode) {
  return Error(Errc::bad_argument, "'" + name + "' is " + kind_of(mode) + ", not shared memory",
               "choose another name");
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/// Removes the name if it still stands for `fd`. Only who holds the lock of a file removes its name, so the
/// name cannot change hands between the look and the removal.
bool unlink_locked(const std::string& name, int fd) {
  struct stat own {};
  struct stat named {};
  const std::string path = path_of(name);
  if (::fstat(fd, &own) != 0 || ::lstat(path.c_str(), &named) != 0) return false;
  return same_file(own, named) && ::unlink(path.c_str()) == 0;
}

}  // namespace

Result<std::string> shared_memory_name(std::string_view name) {
  std::string full(name);
  if (full.empty() || full.front() != '/') full.insert(full.begin(), '/');
  if (full.size() < 2 || full.size() > 255 || full.find('/', 1) != std::string::npos || full == "/." ||
      full == "/.." || full.find('\0') != std::string::npos) {
    return Error(Errc::bad_argument, "'" + std::string(name) + "' is no name for shared memory",
                 "up to 254 characters without a slash");
  }
  return full;
}

HostSegment::HostSegment(HostSegment&& other) noexcept
    : name_(std::move(other.name_)),
      descriptor_(std::move(other.descriptor_)),
      mapping_(std::exchange(other.mapping_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      nonce_(std::exchange(other.nonce_, 0)),
      owner_(std::exchange(other.owner_, false)) {}

HostSegment& HostSegment::operator=(HostSegment&& other) noexcept {
  if (this != &other) {
    close();
    name_ = std::move(other.name_);
    descriptor_ = std::move(other.descriptor_);
    mapping_ = std::exchange(other.mapping_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
    nonce_ = std::exchange(other.nonce_, 0);
    owner_ = std::exchange(other.owner_, false);
  }
  return *this;
}

HostSegment::~HostSegment() { close(); }

void HostSegment::close() noexcept {
  if (mapping_ != nullptr) ::munmap(mapping_, bytes_);
  mapping_ = nullptr;
  if (owner_ && descriptor_.valid()) unlink_locked(name_, descriptor_.get());
  owner_ = false;
  bytes_ = 0;
  descriptor_.reset();
}

Result<void> HostSegment::map() {
  if (bytes_ == 0) return {};
  void* mapping = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_.get(), 0);
  if (mapping == MAP_FAILED) {
    return system_error("mapping shared memory '" + name_ + "'", errno,
                        "is address space limited? (ulimit -v)");
  }
  mapping_ = mapping;
  return {};
}

Result<HostSegment> HostSegment::create(std::string_view name, std::uint64_t bytes) {
  auto full = shared_memory_name(name);
  if (!full) return full.error();
  if (bytes > max_window_bytes) {
    return Error(Errc::too_large, "shared memory '" + *full + "' of " + std::to_string(bytes) + " bytes");
  }
  const std::string doing = "creating shared memory '" + *full + "'";
  HostSegment segment;
  segment.name_ = *full;
  segment.bytes_ = bytes;
  if (auto room = check_room(pages(bytes) + page, doing); !room) return room.error();
  segment.descriptor_.reset(::open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  const int fd = segment.descriptor_.get();
  if (fd < 0) return system_error(doing, errno);
  // Reserved now, so that no later touch can fail for want of memory.
  if (const int number = ::posix_fallocate(fd, 0, static_cast<off_t>(pages(bytes) + page)); number != 0) {
    return system_error(doing, number);
  }
  Footer footer;
  footer.process = static_cast<std::uint32_t>(::getpid());
  footer.bytes = bytes;
  if (::getrandom(&footer.nonce, sizeof footer.nonce, 0) != sizeof footer.nonce) {
    return system_error(doing, errno);
  }
  footer.nonce |= 1;  // never 0
  segment.nonce_ = footer.nonce;
  if (::pwrite(fd, &footer, sizeof footer, static_cast<off_t>(pages(bytes))) != sizeof footer) {
    return system_error(doing, errno);
  }
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) return system_error(doing, errno);
  if (auto mapped = segment.map(); !mapped) return mapped.error();

  // The name appears only now that everything is in place. A leftover is removed once; a name that is taken
  // again right away belongs to somebody alive.
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path_of(*full).c_str(), AT_SYMLINK_FOLLOW) == 0) {
      segment.owner_ = true;
      return segment;
    }
    if (errno != EEXIST) return system_error(doing, errno);
    auto removed = remove_leftover(*full);
    if (!removed) return removed.error();
    if (!*removed) break;
  }
  return Error(Errc::name_taken,
               "shared memory '" + *full + "' already exists and its owner is not known dead",
               "choose another name, or remove it if nobody needs it");
}

Result<bool> HostSegment::remove_leftover(std::string_view name) {
  auto full = shared_memory_name(name);
  if (!full) return full.error();
  // A file that is replaced between open and lock is looked at anew, a bounded number of times.
  for (int attempt = 0; attempt < 16; ++attempt) {
    FileDescriptor file(::open(path_of(*full).c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    if (!file.valid()) {
      if (errno == ENOENT) return true;
      if (errno == EACCES || errno == ELOOP || errno == EISDIR || errno == ENXIO) return false;
      return system_error("looking at shared memory '" + *full + "'", errno);
    }
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return system_error("looking at '" + *full + "'", errno);
    if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() || !footer_of(file.get(), status))
      return false;
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return false;  // its owner lives
    if (unlink_locked(*full, file.get())) return true;
  }
  return false;
}

Result<HostSegment> HostSegment::attach(std::string_view name, std::uint64_t bytes) {
  auto full = shared_memory_name(name);
  if (!full) return full.error();
  HostSegment segment;
  segment.name_ = *full;
  segment.descriptor_.reset(::open(path_of(*full).c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!segment.descriptor_.valid()) {
    if (errno == ENOENT) {
      return Error(Errc::not_found, "there is no shared memory '" + *full + "'",
                   "create it where it is filled or read, before the chip comes up");
    }
    const int problem = errno;
    struct stat named {};
    if (::lstat(path_of(*full).c_str(), &named) == 0 && !S_ISREG(named.st_mode))
      return no_segment(*full, named.st_mode);
    errno = problem;
    if (errno == EACCES) {
      return Error(Errc::foreign_peer, "shared memory '" + *full + "' belongs to another user");
    }
    return system_error("opening shared memory '" + *full + "'", errno);
  }
  struct stat status {};
  if (::fstat(segment.descriptor_.get(), &status) != 0) {
    return system_error("opening shared memory '" + *full + "'", errno);
  }
  if (!S_ISREG(status.st_mode)) return no_segment(*full, status.st_mode);
  if (status.st_uid != ::geteuid()) {
    return Error(Errc::foreign_peer, "shared memory '" + *full + "' belongs to another user");
  }
  const auto footer = footer_of(segment.descriptor_.get(), status);
  const std::uint64_t there = footer ? footer->bytes : static_cast<std::uint64_t>(status.st_size);
  if (there < bytes) {
    return Error(Errc::out_of_bounds, "shared memory '" + *full + "' has " + std::to_string(there) +
                                          " bytes, " + std::to_string(bytes) + " are needed");
  }
  segment.bytes_ = bytes;
  segment.nonce_ = footer ? footer->nonce : 0;
  if (auto mapped = segment.map(); !mapped) return mapped.error();
  return segment;
}

Result<void> HostSegment::read(std::uint64_t offset, std::span<std::byte> to) const {
  if (offset > bytes_ || to.size() > bytes_ - offset) {
    return Error(Errc::out_of_bounds, "reading past the end of shared memory '" + name_ + "'");
  }
  while (!to.empty()) {
    const ssize_t n = ::pread(descriptor_.get(), to.data(), to.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("reading shared memory '" + name_ + "'", errno);
    if (n == 0) return Error(Errc::out_of_bounds, "shared memory '" + name_ + "' has shrunk");
    to = to.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

Result<void> HostSegment::write(std::uint64_t offset, std::span<const std::byte> from) const {
  if (offset > bytes_ || from.size() > bytes_ - offset) {
    return Error(Errc::out_of_bounds, "writing past the end of shared memory '" + name_ + "'");
  }
  // A write would make the file long again, with zeros where its bytes were.
  struct stat status {};
  if (::fstat(descriptor_.get(), &status) != 0)
    return system_error("writing shared memory '" + name_ + "'", errno);
  if (static_cast<std::uint64_t>(status.st_size) < offset + from.size())
    return Error(Errc::out_of_bounds, "shared memory '" + name_ + "' has shrunk");
  while (!from.empty()) {
    const ssize_t n = ::pwrite(descriptor_.get(), from.data(), from.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return system_error("writing shared memory '" + name_ + "'", n < 0 ? errno : ENOSPC);
    from = from.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

}  // namespace troupe::comm
