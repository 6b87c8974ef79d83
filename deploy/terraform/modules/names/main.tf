# What follows from the description, without any provider: ids, mappings, conditions and members.
# The same rules as `gcp-sa-credential-provider render`; a test of the project compares the two.

locals {
  host   = "iam.${var.universe_domain}"
  shared = var.shared_pool != null
  claims = "assertion['kubernetes.io']"

  # Claims that a token may lack are guarded: what Google makes of an absent one is not documented.
  namespace = "has(${local.claims}.namespace) ? ${local.claims}.namespace : ''"
  pod       = "has(${local.claims}.pod) ? ${local.claims}.pod.name : ''"

  # Google takes 32 characters; longer names are cut, and told apart by a hash.
  ids = {
    for name in keys(var.clusters) : name => length("k8s-${name}") <= 32 ? "k8s-${name}" : join("-", [
      replace(substr("k8s-${name}", 0, 25), "/-+$/", ""),
      substr(sha256(name), 0, 6),
    ])
  }

  displays = {
    for name in keys(var.clusters) :
    name => length(name) <= 32 ? name : "${trimspace(substr(name, 0, 29))}..."
  }

  pools = {
    for name, cluster in var.clusters :
    name => local.shared ? var.shared_pool : coalesce(cluster.pool, local.ids[name])
  }

  providers = { for name, cluster in var.clusters : name => coalesce(cluster.provider, local.ids[name]) }

  pool_names = {
    for name, pool in local.pools :
    name => "projects/${var.project_number}/locations/global/workloadIdentityPools/${pool}"
  }

  # In a shared pool every value says which cluster it is of.
  prefixes = { for name in keys(var.clusters) : name => local.shared ? "${name}::" : "" }

  mappings = {
    for name, cluster in var.clusters : name => merge(
      local.shared ? {
        "google.subject"              = "'${name}::' + assertion.sub"
        "attribute.cluster"           = "'${name}'"
        "attribute.cluster_namespace" = "'${name}::' + (${local.namespace})"
        } : {
        "google.subject"      = "assertion.sub"
        "attribute.namespace" = local.namespace
      },
      cluster.map_pod ? {
        "attribute.pod" = local.shared ? "'${name}::' + (${local.pod})" : local.pod
      } : {},
    )
  }

  pullers = {
    for name in keys(var.clusters) : name => [for puller in var.pull : puller if puller.cluster == name]
  }

  # Whole namespaces, and the ServiceAccounts of the others.
  namespaces = {
    for name, pullers in local.pullers : name => sort(distinct([
      for puller in pullers : puller.namespace
      if puller.namespace != null && puller.service_account == null
    ]))
  }

  subjects = {
    for name, pullers in local.pullers : name => sort(distinct([
      for puller in pullers : "system:serviceaccount:${puller.namespace}:${puller.service_account}"
      if puller.service_account != null && !contains(local.namespaces[name], coalesce(puller.namespace, "-"))
    ]))
  }

  exact = {
    for name in keys(var.clusters) : name => join(" || ", compact([
      length(local.subjects[name]) == 0 ? "" : "assertion.sub in ['${join("', '", local.subjects[name])}']",
      length(local.namespaces[name]) == 0 ? "" : "${local.claims}['namespace'] in ['${join("', '", local.namespaces[name])}']",
    ]))
  }

  by_namespace = {
    for name, pullers in local.pullers : name => format(
      "%s['namespace'] in ['%s']",
      local.claims,
      join("', '", sort(distinct(compact(pullers[*].namespace)))),
    )
  }

  # Google takes 4096 characters.
  conditions = {
    for name, pullers in local.pullers : name => anytrue([for puller in pullers : puller.namespace == null]) ? null : (
      length(local.exact[name]) <= 4096 ? local.exact[name] : local.by_namespace[name]
    )
  }

  # By cluster, namespace and ServiceAccount; `*` for all.
  given = {
    for puller in var.pull :
    join("/", [puller.cluster, coalesce(puller.namespace, "*"), coalesce(puller.service_account, "*")]) =>
    puller.repositories == null ? var.repositories : puller.repositories...
  }

  # A puller as IAM names it, and the account that it impersonates. Within a namespace or cluster that
  # pulls, ServiceAccounts with an account of their own pull as that, so that it reads the same.
  members = [
    for puller in var.pull : {
      key          = join("/", [puller.cluster, coalesce(puller.namespace, "*"), coalesce(puller.service_account, "*")])
      cluster      = puller.cluster
      repositories = puller.repositories == null ? var.repositories : puller.repositories
      account = (
        puller.google_service_account != null ? puller.google_service_account : try(var.clusters[puller.cluster].google_service_account, null)
      )
      within = [
        for one in var.pull : one.google_service_account
        if puller.service_account == null && one.google_service_account != null &&
        one.cluster == puller.cluster && (puller.namespace == null || one.namespace == puller.namespace)
      ]
      # What it is given: by itself, by its namespace's entry and by its cluster's.
      given = sort(distinct(flatten([
        for name in [
          "${puller.cluster}/*/*",
          "${puller.cluster}/${coalesce(puller.namespace, "*")}/*",
          "${puller.cluster}/${coalesce(puller.namespace, "*")}/${coalesce(puller.service_account, "*")}",
        ] : try(local.given[name], [])
      ])))
      subject = puller.service_account == null ? "" : join("", [
        lookup(local.prefixes, puller.cluster, ""),
        "system:serviceaccount:${coalesce(puller.namespace, "-")}:${puller.service_account}",
      ])
      principal = join("", [
        puller.service_account != null ? "principal://" : "principalSet://",
        "${local.host}/${lookup(local.pool_names, puller.cluster, "")}/",
        puller.service_account != null ? "subject/${lookup(local.prefixes, puller.cluster, "")}system:serviceaccount:${coalesce(puller.namespace, "-")}:${puller.service_account}" : (
          puller.namespace != null ? (
            local.shared ? "attribute.cluster_namespace/${puller.cluster}::${puller.namespace}" : "attribute.namespace/${puller.namespace}"
          ) : local.shared ? "attribute.cluster/${puller.cluster}" : "*"
        ),
      ])
    }
  ]

  readers = distinct(flatten([
    for member in local.members : [
      for repository in member.repositories : concat(
        [{
          key        = join(" ", [repository, member.account == null ? member.key : member.account])
          repository = repository
          member     = member.account == null ? member.principal : "serviceAccount:${member.account}"
        }],
        [
          for account in member.within : {
            key        = "${repository} ${account}"
            repository = repository
            member     = "serviceAccount:${account}"
          }
        ],
      )
    ]
  ]))

  # Accounts that read for one of those that pull as them what only another is given.
  given_as = { for member in local.members : member.account => join(" ", member.given)... if member.account != null }
  undoing  = [for account, given in local.given_as : account if length(distinct(given)) > 1]

  users = distinct([
    for member in local.members : {
      key     = "${member.account} ${member.key}"
      account = member.account
      member  = member.principal
    } if member.account != null
  ])
}
