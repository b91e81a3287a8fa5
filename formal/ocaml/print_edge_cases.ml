(* As Coq prints a list of lists. *)

let number = Z.to_string
let () =
  let row numbers = "[" ^ String.concat "; " (List.map number numbers) ^ "]" in
  print_endline ("[" ^ String.concat "; " (List.map row Edge_cases.edge_cases) ^ "]")
