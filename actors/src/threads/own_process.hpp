#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "troupe/actors/errc.hpp"

namespace troupe::actors {

/// Knows whether it is still in the process that made it, or in a child of fork, which has neither the
/// threads nor the locks as their owners left them. Asking costs a load where the kernel wipes a page for it.
/// Any thread.
class OwnProcess {
 public:
  OwnProcess() : pid_(::getpid()) {
    void* page = mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return;
    if (madvise(page, page_bytes, MADV_WIPEONFORK) != 0) {
      munmap(page, page_bytes);
      return;
    }
    here_ = static_cast<volatile char*>(page);
    *here_ = 1;
  }
  ~OwnProcess() {
    if (here_ != nullptr) munmap(const_cast<char*>(here_), page_bytes);
  }
  OwnProcess(const OwnProcess&) = delete;
  OwnProcess& operator=(const OwnProcess&) = delete;

  bool is_here() const noexcept { return here_ != nullptr ? *here_ != 0 : ::getpid() == pid_; }

  /// What a call in a child is answered.
  Error in_a_child() const {
    return {Errc::wrong_state,
            "this System belongs to process " + std::to_string(pid_) +
                ", and this is a child of it (fork), " + "which has none of its threads",
            "make a System in the child, or fork before one is made"};
  }

 private:
  static constexpr std::size_t page_bytes = 4096;
  const pid_t pid_;
  volatile char* here_ = nullptr;  ///< 0 in a child; null: this kernel has no such pages
};

}  // namespace troupe::actors
