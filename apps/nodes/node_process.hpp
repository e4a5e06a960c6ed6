#pragma once

// A `troupe node` that another process of this user starts, here or, through a launcher, on another machine.
// It gets its certificate on its standard input, and ends when that does: however the one that started it
// ends.

#include <sys/types.h>

#include <atomic>
#include <iosfwd>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "command/interrupts.hpp"
#include "nodes/certificates.hpp"
#include "troupe/comm/file_descriptor.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::apps {

/// What a node of a pod reads first: its certificate, its key, its authority's certificate, as they are in
/// files, and a line that ends them.
Result<std::string> credentials_for(CertificatePlace& place, const std::string& host);
/// Takes them from a descriptor, into "node.pem", "node.key" and "ca.pem". Not a byte more is read.
Result<void> take_credentials(int from, CertificatePlace& into);

/// Ends with this object. One thread uses it.
class NodeProcess {
 public:
  /// Throws what is to be told when there is no process for it. What the node says goes to `says` once it
  /// listens, a line at a time, each in its turn; also that it has ended, where nobody ended it.
  NodeProcess(std::vector<std::string> words, const std::string& credentials, std::ostream& says,
              std::mutex& turns);
  ~NodeProcess();
  NodeProcess(const NodeProcess&) = delete;
  NodeProcess& operator=(const NodeProcess&) = delete;

  /// Raised when `address` has an answer.
  const Flag& begun() const { return begun_; }
  /// Where it listens; what it said instead, if it does not.
  Result<std::string> address() const;

 private:
  void listen(std::ostream& says, std::mutex& turns);

  pid_t pid_ = -1;
  comm::FileDescriptor input_, output_;
  std::thread listener_;
  Flag begun_;
  std::atomic<bool> ending_ = false;
  mutable std::mutex mutex_;
  std::string address_, said_;
};

}  // namespace troupe::apps
