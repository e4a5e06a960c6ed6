#pragma once

#include <string>
#include <utility>
#include <vector>

#include "comm/child_process.hpp"
#include "support/built.hpp"

namespace troupe::comm::test {

/// A running `peer_main` process.
struct Peer : ChildProcess {
  explicit Peer(std::vector<std::string> arguments)
      : ChildProcess(tests::built("bin/troupe_comm_peer"), std::move(arguments)) {}
};

}  // namespace troupe::comm::test
