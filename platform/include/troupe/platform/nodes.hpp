#pragma once

// Chips on other machines: a DeviceApi whose contexts are chips of a node (`troupe node`), reached over a
// network, and the node itself. Tables and options are plain values; a NodeServer has one owner, its calls
// may come from any thread. Errors: what cannot be reached or is refused is a Result (system, load_failed,
// invalid_argument, version_mismatch); what is lost later is answered like a device that died: `lost`, with
// the host's name.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "troupe/platform/device_api.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"
#include "troupe/runtime/saturated.hpp"

namespace troupe::platform {

/// Who one is, and whom one believes: files in PEM. `troupe certs` makes them. All of them are needed, except
/// for addresses `unix:PATH`, which no other machine and no other user can reach.
struct Credentials {
  std::string certificate;  ///< of this program, or of this node
  std::string key;          ///< readable for nobody else
  std::string authority;    ///< whose signature the other end's certificate has to have
};

/// A node elsewhere.
struct RemoteNode {
  std::string address;  ///< "host:port", "[::1]:port", or "unix:PATH"
  Credentials credentials = {};
  /// Without a byte for so long either end gives the other up. Any byte counts.
  runtime::Milliseconds silence = std::chrono::seconds(2);
  /// How long a connection may take until it is there.
  runtime::Milliseconds patience = std::chrono::seconds(5);
};

/// What a node says of itself.
struct NodeFacts {
  int chips = 0;
  std::string platform;
};
/// Asks it, and waits for the answer.
[[nodiscard]] TROUPE_API Result<NodeFacts> describe_node(const RemoteNode& node);

/// Names one program to the nodes that it uses: they are held by one at a time.
struct PodNumber {
  std::uint64_t high = 0, low = 0;
};
[[nodiscard]] TROUPE_API PodNumber new_pod_number();

struct RemoteChip {
  RemoteNode node;
  int chip = 0;            ///< which of the node's
  PodNumber pod = {};      ///< of all chips that one program uses
  std::string where = {};  ///< whose chip that is, for errors: "node0/chip1"
};

/// The platform of a node elsewhere; a context of it is that one chip, from its making to its end, and the
/// device number is of no meaning. As in processes of their own (isolated.hpp), kernels come from modules.
/// The node has to have the module, or this program the right to send it.
///
/// - A connection that is lost, or silent, is a device that has died; the node gives up what ran there.
/// - Windows join chips of one node only.
/// - Blocking calls wait for the network. Launches and aborts do not.
[[nodiscard]] TROUPE_API Result<DeviceApi> remote(RemoteChip chip);

struct NodeOptions {
  std::string listen;  ///< "host:port" (port 0: any), or "unix:PATH"
  int chips = 1;
  std::string platform = "a2a3sim";  ///< a name, or the path of a library
  int first_device = 0;
  Credentials credentials = {};
  std::vector<std::string> allowed = {};   ///< names on certificates of who may use it
  std::vector<std::string> may_ship = {};  ///< of them: who may send it code to run
  std::vector<std::string> modules = {};   ///< files of modules that it has
  runtime::Milliseconds silence = std::chrono::seconds(2);
  std::string program = {};  ///< the path of troupe-chip; empty: it is looked for
  /// What happens, for people; from any thread.
  std::function<void(const std::string& text)> log = {};
};

/// A node: its chips, each in a process of its own, for the one program at a time that holds them.
class TROUPE_API NodeServer {
 public:
  /// Listens. Nothing listens beyond unix:PATH without certificates, and names to allow.
  static Result<std::unique_ptr<NodeServer>> start(NodeOptions options);
  NodeServer(const NodeServer&) = delete;
  NodeServer& operator=(const NodeServer&) = delete;
  /// Ends every connection and every chip.
  ~NodeServer();

  /// Where, with the port that it got.
  const std::string& address() const;
  /// Connections to chips that are in use.
  int chips_in_use() const;

 private:
  struct Parts;
  explicit NodeServer(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace troupe::platform
