// What is said to somebody who met a limit of the process or of the machine: which one, and its value.
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstddef>
#include <string>

#include "troupe/comm/threads_hint.hpp"

using namespace troupe;

namespace {

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which map memory as they like
/// All the mappings that this process may have, until the end of the scope: every second page is another.
class AllMappings {
 public:
  AllMappings() {
    pages_ = static_cast<std::byte*>(
        mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    for (std::size_t at = 0; pages_ != MAP_FAILED && at < bytes; at += 2 * page) {
      if (mprotect(pages_ + at, page, PROT_READ) == 0) continue;
      taken_ = true;
      break;
    }
  }
  ~AllMappings() { munmap(pages_, bytes); }
  AllMappings(const AllMappings&) = delete;
  AllMappings& operator=(const AllMappings&) = delete;
  bool taken() const { return taken_; }

 private:
  static constexpr std::size_t page = 4096, bytes = page << 23U;
  std::byte* pages_;
  bool taken_ = false;
};
#endif

/// The limit on files, until the end of the scope.
class FilesUpTo {
 public:
  explicit FilesUpTo(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FilesUpTo() { setrlimit(RLIMIT_FSIZE, &before_); }
  FilesUpTo(const FilesUpTo&) = delete;
  FilesUpTo& operator=(const FilesUpTo&) = delete;

 private:
  rlimit before_{};
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("who has all mappings of memory that a process may have is told of that limit, not of another") {
  std::string threads, memory, again;
  bool taken = false;
  {
    const AllMappings all;
    taken = all.taken();
    threads = comm::threads_hint();
    memory = comm::limit_hint(ENOMEM);
    again = comm::limit_hint(EAGAIN);
  }
  REQUIRE(taken);
  for (const auto& hint : {threads, memory, again}) {
    CHECK(has(hint, "vm.max_map_count"));
    CHECK(has(hint, "use fewer chips"));
  }
  CHECK_FALSE(has(comm::threads_hint(), "vm.max_map_count"));
  CHECK_FALSE(has(comm::limit_hint(ENOMEM), "vm.max_map_count"));
}
#endif

TEST_CASE("the limit on files is told as it was set, however small") {
  {
    const FilesUpTo limit(100 << 10);
    CHECK(has(comm::limit_hint(EFBIG), "up to 100 KiB (ulimit -f)"));
  }
  {
    const FilesUpTo limit(512);
    CHECK(has(comm::limit_hint(EFBIG), "up to 512 bytes (ulimit -f)"));
  }
  {
    const FilesUpTo limit(8 << 20);
    CHECK(has(comm::limit_hint(EFBIG), "up to 8 MiB (ulimit -f)"));
  }
}
