#pragma once

#include <sys/types.h>

#include <string>

#include "host/peer.hpp"
#include "troupe/comm/file_descriptor.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::isolation {

/// A process of a chip, and the socket to it. Started by the thread that serves it, because it ends when the
/// thread does that started it; and never without having been waited for.
class Child final : public Peer {
 public:
  static Result<std::unique_ptr<Peer>> start(const std::string& program);
  ~Child() override { (void)end(false); }

  std::unique_ptr<Stream> take_stream() override { return local_stream(std::move(socket_)); }
  int ended() const override { return process_.get(); }
  int number() const { return pid_; }
  /// Kills it, if it has not ended by itself, and all it has started; waits until it is gone. How it ended,
  /// in words: "exited with code 3". Empty the second time.
  std::string end(bool closed) override;

 private:
  explicit Child(pid_t pid) : pid_(pid) {}

  pid_t pid_ = -1;
  comm::FileDescriptor process_, socket_;
};

}  // namespace troupe::platform::isolation
