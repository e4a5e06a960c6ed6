#pragma once

#include <memory>
#include <string>

#include "net/address.hpp"
#include "troupe/platform/nodes.hpp"
#include "wire/wire.hpp"

namespace troupe::platform::isolation {

/// Makes streams that nobody else can read, between two ends whose certificates are of one authority.
/// Thread-safe.
class Security {
 public:
  struct Accepted {
    std::unique_ptr<Stream> stream;
    std::string name;  ///< on the certificate of the other end
  };
  Security() = default;
  Security(const Security&) = delete;
  Security& operator=(const Security&) = delete;
  virtual ~Security() = default;

  /// The other end's certificate has to be of this host.
  virtual Result<std::unique_ptr<Stream>> connect(comm::FileDescriptor socket, const std::string& host,
                                                  Deadline until) = 0;
  virtual Result<Accepted> accept(comm::FileDescriptor socket, Deadline until) = 0;
};

/// From libtroupe_tls.so, which is loaded when it is needed first.
Result<std::shared_ptr<Security>> security_of(const Credentials& credentials, bool of_a_node);

/// What that library has under `security_entry`.
using MakeSecurity = Result<std::shared_ptr<Security>> (*)(const Credentials& credentials, bool of_a_node);
inline constexpr const char* security_entry = "troupe_make_security_1";

/// One frame, of a stream on which nothing else is under way: for the first words.
Result<void> send_frame(Stream& stream, Kind kind, const Writer& payload, Deadline until);
struct FirstFrame {
  Kind kind{};
  std::vector<std::byte> payload;
};
Result<FirstFrame> receive_frame(Stream& stream, Deadline until);

}  // namespace troupe::platform::isolation
