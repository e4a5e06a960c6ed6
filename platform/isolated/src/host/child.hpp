#pragma once

#include <sys/types.h>

#include <string>

#include "troupe/comm/file_descriptor.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::isolation {

/// A process of a chip, and the socket to it. Started by the thread that serves it, because it ends when the
/// thread does that started it; and never without having been waited for.
class Child {
 public:
  static Result<Child> start(const std::string& program);
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  ~Child() { (void)end(); }

  comm::FileDescriptor take_socket() { return std::move(socket_); }
  /// Can be read once the process has ended; -1: nobody tells.
  int ended() const { return process_.get(); }
  int number() const { return pid_; }
  /// Kills it, if it has not ended by itself, and all it has started; waits until it is gone. How it ended,
  /// in words: "exited with code 3". Empty the second time.
  std::string end();

 private:
  explicit Child(pid_t pid) : pid_(pid) {}

  pid_t pid_ = -1;
  comm::FileDescriptor process_, socket_;
};

}  // namespace troupe::platform::isolation
