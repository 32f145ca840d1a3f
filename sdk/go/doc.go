// Package cygni is the Cygni API from Go: deploy a folder, follow it live, roll it back.
//
//	client, err := cygni.NewClient() // CYGNI_API_KEY, CYGNI_API_URL, or what `cygni login` kept
//	for project, err := range client.Projects.List(ctx, cygni.ProjectsListParams{}).All() {
//		...
//	}
//
// A method is the API's operation: deployments.create is [DeploymentsService.Create]. Ids of the path come first, then
// the body, then the query, then options of this one call.
//
// # Absent, set, null
//
// In a body, required fields are plain, optional ones are a [Field]: left out it is not sent, [Set] sends a value, [Null]
// sends null, which clears. In a query the zero value is not sent. In an answer a field that may be null is a pointer.
//
// # Errors
//
// An answer that says no is an [*Error]; no answer is a [*ConnectionError], no answer in time a [*TimeoutError] as
// well. All are found with [errors.As].
//
// # Servers that are newer
//
// Fields that this version does not know are kept in Extra, values of an enumeration that it does not know stay the
// strings they are.
package cygni
