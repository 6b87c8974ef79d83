output "pools" {
  description = "Id of each pool, to its display name."
  value = local.shared ? { (var.shared_pool) = var.shared_pool } : {
    for name, pool in local.pools : pool => local.displays[name]
  }

  precondition {
    condition     = local.shared || length(distinct(values(local.pools))) == length(local.pools)
    error_message = "Two clusters have the same pool: their subjects could not be told apart. Use shared_pool."
  }

  precondition {
    condition     = !local.shared || alltrue([for cluster in values(var.clusters) : cluster.pool == null])
    error_message = "A cluster has a pool beside the shared one. Take its pool out, or shared_pool."
  }
}

output "providers" {
  description = "What each cluster's provider is made of."
  value = {
    for name, cluster in var.clusters : name => {
      pool                = local.pools[name]
      provider            = local.providers[name]
      display_name        = local.displays[name]
      audience            = "//${local.host}/${local.pool_names[name]}/providers/${local.providers[name]}"
      attribute_mapping   = local.mappings[name]
      attribute_condition = local.conditions[name]
    }
  }

  precondition {
    condition     = length(distinct([for name, pool in local.pools : "${pool}/${local.providers[name]}"])) == length(local.pools)
    error_message = "Two clusters have the same provider in one pool: both would have the same audience. Give each a provider of its own."
  }

  precondition {
    condition     = alltrue([for name, pullers in local.pullers : length(pullers) > 0])
    error_message = "A cluster has nobody in `pull`: its condition would let nobody in. Name a puller, or leave the cluster out."
  }

  precondition {
    condition     = alltrue([for condition in values(local.conditions) : condition == null ? true : length(condition) <= 4096])
    error_message = "A cluster has so many namespaces that the attribute condition exceeds Google's 4096 characters. Let the whole cluster pull, or fewer namespaces."
  }
}

output "readers" {
  description = "Who reads which repository."
  value       = { for reader in local.readers : reader.key => { repository = reader.repository, member = reader.member } }

  precondition {
    condition     = length(setsubtract(var.pull[*].cluster, keys(var.clusters))) == 0
    error_message = "An entry of `pull` names a cluster that is not in `clusters`."
  }

  precondition {
    condition     = length(distinct(local.members[*].key)) == length(local.members)
    error_message = "Two entries of `pull` are for the same. Keep one, with the repositories of both."
  }

  precondition {
    condition     = length(setsubtract(local.readers[*].repository, var.repositories)) == 0
    error_message = "An entry of `pull` names a repository that is not in `repositories`."
  }

  precondition {
    condition     = length(local.undoing) == 0
    error_message = "Entries of `pull` that impersonate ${join(", ", local.undoing)} are given different repositories, and the account reads all of these for each. Give them the same repositories, or accounts of their own."
  }

  precondition {
    condition     = alltrue([for member in local.members : length(member.subject) <= 127])
    error_message = "The subject of a ServiceAccount exceeds Google's 127 bytes. Use shorter names, or let its namespace pull."
  }
}

output "users" {
  description = "Who impersonates which service account."
  value       = { for user in local.users : user.key => { account = user.account, member = user.member } }
}

output "accounts" {
  description = "E-mails of the service accounts that are impersonated."
  value       = toset(local.users[*].account)
}
