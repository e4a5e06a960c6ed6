#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "troupe/comm/file_descriptor.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::isolation {

using Deadline = std::chrono::steady_clock::time_point;

/// Where a node is.
struct Address {
  bool is_local = false;   ///< a socket in the file system, of this user's alone
  std::string host, port;  ///< or the path
  std::string text() const;
};
Result<Address> read_address(std::string_view text);

/// A connected socket that does not block.
Result<comm::FileDescriptor> connect_to(const Address& address, Deadline until);
/// A listening one; the address gets the port that was free, if it had none.
Result<comm::FileDescriptor> listen_at(Address& address);
/// Waits until the descriptor can be read (or written). An error: not in time.
Result<void> wait_for(int descriptor, bool to_write, Deadline until);
/// Whether who has connected to a socket of the file system is this user.
bool is_own_user(int socket);
/// Whose address, for people.
std::string peer_of(int socket);

}  // namespace troupe::platform::isolation
