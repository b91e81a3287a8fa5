(** rules.md, region_gaps: how far the wrong outputs of each class are ahead of the label, at most, in each region. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Integer.Dyadic Integer.Tables Real.ScaledExp Facts Count.Counting.
From Compact Require Import Regions.Inputs Regions.Groups Regions.Layers Regions.Listing Regions.Longest Regions.Labels.
From Compact Require Import General.Balls General.Tables General.Ends General.Problem General.InRegions General.Joint General.Ahead General.Statements General.Prepared.
Import ListNotations.
Open Scope Z_scope.

Section Program.
Variables (w : layer_weights) (P : problem) (margin : fraction) (bits : Z).
Notation m := (size_m w).
Notation k := (size_k w).
Notation r := (readout P).

(** A class of wrong outputs; without neurons also what each gains by head, position and token. *)
Record watched := Watched { its_outputs : list nat; its_gains : list (list (list Z)) }.

(** With lines of these slopes in the place of neurons. *)
Definition gains_with (ready : prepared) (c : nat) (ys : list nat) (slopes : list Z) : list (list (list Z)) :=
  let out := its_neurons ready in map (gains_of bits (exponent out) m c (lines_of out c ys slopes)) (Tables.of_heads (its_tables ready)).

Definition watch (ready : prepared) (g : group) : list watched :=
  map (fun mask => let ys := outputs_in m mask in Watched ys (if Nat.eqb k 0 then gains_with ready (Groups.label_of g) ys [] else [])) (Groups.rivals g).

Definition class_gains_with (ready : prepared) (c : nat) (class : watched) (slopes : list Z) : list (list (list Z)) :=
  if Nat.eqb k 0 then its_gains class else gains_with ready c (its_outputs class) slopes.

Definition constant_in (ready : prepared) (rg : region) (ys : list nat) (slopes ranges : list Z) : Z :=
  constant_of w bits margin (its_neurons ready) (Groups.label_of (group_of rg)) ys slopes ranges (nth (query rg) (passing (its_tables ready)) (Ball [] 0)).

(** Hints: a slope for each neuron, a bound on the mean of each head. *)
Definition gap_of (ready : prepared) (rg : region) (weights : list weighed) (ranges : list Z) (class : watched) (hint : list Z) : outcome Z :=
  let (slopes, means_) := (firstn k hint, skipn k hint) in
  require (Nat.eqb (length hint) (k + length weights)) wrong_shape
  (require (forallb (fun one : (list (list Z) * weighed) * Z => let '((gains, e), mean) := one in
      longest (as_table (worst_terms mean gains (its_ends e))) (layers rg) <=? 0)
      (combine (combine (class_gains_with ready (Groups.label_of (group_of rg)) class slopes) weights) means_)) mean_above_bound
  (Fine (constant_in ready rg (its_outputs class) slopes ranges + add_up means_))).

Fixpoint gaps_of_classes (ready : prepared) (rg : region) (weights : list weighed) (ranges : list Z) (classes : list watched) (hints : list (list Z)) : outcome (list Z) :=
  match classes, hints with
  | [], [] => Fine []
  | class :: classes', hint :: hints' =>
      match gap_of ready rg weights ranges class hint with
      | Refused why => Refused why
      | Fine gap => match gaps_of_classes ready rg weights ranges classes' hints' with Refused why => Refused why | Fine rest => Fine (gap :: rest) end
      end
  | _, _ => Refused wrong_shape
  end.

(** Region by region, with the ranges and hints that are left. *)
Fixpoint gaps_of_regions (ready : prepared) (classes : list watched) (regions : list region) (items : list (list Z * list (list Z)))
  : outcome (list (list Z) * list (list Z * list (list Z))) :=
  match regions with
  | [] => Fine ([], items)
  | rg :: regions' =>
      match items with
      | [] => Refused wrong_shape
      | (ranges, hint) :: items' =>
          require (Nat.eqb (length hint) (length classes)) wrong_shape
          match weights_in w P ready rg with
          | Refused why => Refused why
          | Fine weights =>
              match gaps_of_classes ready rg weights ranges classes hint with
              | Refused why => Refused why
              | Fine row =>
                  match gaps_of_regions ready classes regions' items' with
                  | Refused why => Refused why
                  | Fine (rows, unread) => Fine (row :: rows, unread)
                  end
              end
          end
      end
  end.

Fixpoint gaps_of_groups (ready : prepared) (number : nat) (groups : list group) (items : list (list Z * list (list Z))) : outcome (list (list Z)) :=
  match groups with
  | [] => match items with [] => Fine [] | _ => Refused wrong_shape end
  | g :: rest =>
      match gaps_of_regions ready (watch ready g) (regions_of_group r (allowed P) number g) items with
      | Refused why => Refused why
      | Fine (rows, unread) =>
          match gaps_of_groups ready (S number) rest unread with Refused why => Refused why | Fine more => Fine (rows ++ more) end
      end
  end.

Definition region_gaps (groups : list group) (ranges : list (list Z)) (hints : list (list (list Z))) : outcome statement :=
  require (Nat.eqb (length ranges) (length hints)) wrong_shape
  match gaps_of_groups (prepare w P bits groups) 0 groups (combine ranges hints) with
  | Refused why => Refused why
  | Fine gaps => Fine (Region_gaps bits groups ranges gaps)
  end.
End Program.

Section Sound.
Variables (w : layer_weights) (P : problem) (margin : fraction) (bits : Z) (groups : list group).
Hypothesis fits : problem_fits w P = true.
Hypothesis natural : 0 <= bits.
Hypothesis positive : 0 < snd margin.
Hypothesis right : Forall (fun g => group_right w P g = true) groups.
Notation L := (layer_of w).
Notation m := (size_m w).
Notation k := (size_k w).
Notation r := (readout P).
Notation ready := (prepare w P bits groups).
Notation all_regions := (regions_of r (allowed P) groups).

(** A class as [watch] makes it. *)
Definition class_of (c : nat) (mask : Z) : watched :=
  let ys := outputs_in m mask in Watched ys (if Nat.eqb k 0 then gains_with w bits ready c ys [] else []).

Lemma class_gains_ready : forall c mask slopes, length slopes = k ->
  class_gains_with w bits ready c (class_of c mask) slopes = map (class_table w bits c (outputs_in m mask) slopes) (Tables.of_heads (its_tables ready)).
Proof.
  intros c mask slopes Ls. unfold class_gains_with, class_of. destruct (Nat.eqb k 0) eqn:none; [|reflexivity].
  apply Nat.eqb_eq in none. rewrite none in Ls. apply length_zero_iff_nil in Ls. subst slopes. reflexivity.
Qed.

Lemma gap_right : forall rg weights ranges mask hint gap, In rg all_regions -> weights_in w P ready rg = Fine weights -> range_true w P bits rg ranges ->
  gap_of w margin bits ready rg weights ranges (class_of (Groups.label_of (group_of rg)) mask) hint = Fine gap ->
  class_behind w P (value_of margin) bits rg mask gap.
Proof.
  intros rg weights ranges mask hint gap I W [Lr ranged] E x y input inside Y. pose proof (label_small w P groups right rg I) as C.
  destruct (weights_ready w P bits groups fits right rg x weights I input inside W) as [known Ew].
  unfold gap_of in E. apply require_fine in E. destruct E as [Len E]. apply Nat.eqb_eq in Len. rewrite Ew, map_length in Len.
  apply require_fine in E. destruct E as [all E]. apply fine_eq in E. subst gap. cbn [its_outputs class_of].
  set (slopes := firstn k hint) in *. set (bounds := skipn k hint) in *.
  assert (Ls : length slopes = k) by (unfold slopes; rewrite firstn_length; lia).
  assert (Lb : length bounds = length (Tables.of_heads (its_tables ready))) by (unfold bounds; rewrite skipn_length; lia).
  rewrite class_gains_ready in all by exact Ls.
  pose proof (proj1 (in_outputs_in _ _ _) Y) as [y_small _].
  pose proof (ahead_in_units w P bits rg x fits natural input inside (Groups.label_of (group_of rg)) (outputs_in m mask) y slopes ranges C y_small Y Ls Lr
    (fun j J => ranged x j input inside J) margin positive) as ahead.
  rewrite plus_IZR. apply Rle_trans with (1 := ahead). unfold constant_in. apply Rplus_le_compat; [apply Rle_refl|].
  apply (all_hinted w P bits groups rg x fits natural I input inside (class_table w bits (Groups.label_of (group_of rg)) (outputs_in m mask) slopes) _
    (class_bound w P bits x fits input _ (outputs_in m mask) y slopes C y_small Y Ls)
    (attn_heads w) _ (heads_ready w P bits groups fits natural) known bounds Lb).
  rewrite forallb_forall in all |- *. intros [one mean] J. cbn [fst snd].
  refine (all ((class_table w bits (Groups.label_of (group_of rg)) (outputs_in m mask) slopes one, weighed_in rg (ends_read (flags_of w P rg) (powers_at w P bits (query rg) one))), mean) _).
  rewrite Ew. clear - J. revert J. generalize bounds as bs. induction (Tables.of_heads (its_tables ready)) as [|o os IH]; intros [|h bs] J; cbn in *; try contradiction.
  destruct J as [J|J]; [left; now inversion J | right; now apply IH].
Qed.

Lemma gaps_of_classes_right : forall rg weights ranges hints row, In rg all_regions -> weights_in w P ready rg = Fine weights -> range_true w P bits rg ranges ->
  gaps_of_classes w margin bits ready rg weights ranges (watch w bits ready (group_of rg)) hints = Fine row ->
  Forall2 (class_behind w P (value_of margin) bits rg) (Groups.rivals (group_of rg)) row.
Proof.
  intros rg weights ranges hints row I W ranged. unfold watch. revert hints row. induction (Groups.rivals (group_of rg)) as [|mask masks IH]; intros hints row E; cbn [map gaps_of_classes] in E.
  - destruct hints; [|discriminate]. inversion E. constructor.
  - destruct hints as [|hint hints]; [discriminate|]. destruct (gap_of _ _ _ _ _ _ _ _ _) as [gap|] eqn:One; [|discriminate].
    destruct (gaps_of_classes _ _ _ _ _ _ _ _ _) as [rest|] eqn:More; [|discriminate]. inversion E; subst. constructor.
    + now apply gap_right with (weights := weights) (ranges := ranges) (hint := hint).
    + now apply (IH hints).
Qed.

Definition item_ranged (rg : region) (item : list Z * list (list Z)) : Prop := range_true w P bits rg (fst item).

Lemma gaps_of_regions_right : forall g regions rest items rows unread, (forall rg, In rg regions -> In rg all_regions /\ group_of rg = g) ->
  Forall2 item_ranged (regions ++ rest) items ->
  gaps_of_regions w P margin bits ready (watch w bits ready g) regions items = Fine (rows, unread) ->
  Forall2 (fun rg row => Forall2 (class_behind w P (value_of margin) bits rg) (Groups.rivals (group_of rg)) row) regions rows /\ Forall2 item_ranged rest unread.
Proof.
  intros g. induction regions as [|rg regions IH]; intros rest items rows unread sub all E; cbn [gaps_of_regions app] in *; [inversion E; subst; now split|].
  inversion all as [|? [ranges hint] ? items' A B]; subst. apply require_fine in E. destruct E as [_ E].
  destruct (weights_in w P ready rg) as [weights|] eqn:W; [|discriminate].
  destruct (gaps_of_classes _ _ _ _ _ _ _ _ _) as [row|] eqn:Row; [|discriminate].
  destruct (gaps_of_regions _ _ _ _ _ _ _ _) as [[rows' unread']|] eqn:Rest; [|discriminate]. inversion E; subst.
  destruct (sub rg ltac:(now left)) as [I G]. destruct (IH rest items' rows' unread ltac:(intros; apply sub; now right) B Rest) as [C D].
  split; [|exact D]. constructor; [|exact C]. apply gaps_of_classes_right with (weights := weights) (ranges := ranges) (hints := hint); auto. now rewrite G.
Qed.

Lemma gaps_of_groups_right : forall rest number items gaps,
  (forall rg, In rg (regions_from r (allowed P) number rest) -> In rg all_regions) -> Forall2 item_ranged (regions_from r (allowed P) number rest) items ->
  gaps_of_groups w P margin bits ready number rest items = Fine gaps ->
  Forall2 (fun rg row => Forall2 (class_behind w P (value_of margin) bits rg) (Groups.rivals (group_of rg)) row) (regions_from r (allowed P) number rest) gaps.
Proof.
  induction rest as [|g rest IH]; intros number items gaps sub all E; cbn [gaps_of_groups regions_from] in *.
  - destruct items; [|discriminate]. inversion E. constructor.
  - destruct (gaps_of_regions _ _ _ _ _ _ _ _) as [[rows unread]|] eqn:Rows; [|discriminate].
    destruct (gaps_of_groups _ _ _ _ _ _ _ _) as [more|] eqn:More; [|discriminate]. inversion E; subst.
    apply gaps_of_regions_right with (rest := regions_from r (allowed P) (S number) rest) in Rows;
      [|intros rg I; split; [apply sub, in_app_iff; now left | now apply in_regions_of_group in I] | exact all].
    destruct Rows as [A B]. apply Forall2_app; [exact A|]. apply IH with (items := unread); [intros rg I; apply sub, in_app_iff; now right | exact B | exact More].
Qed.

Lemma items_of : forall (A : region -> list Z -> Prop) regs firsts (hints : list (list (list Z))), Forall2 A regs firsts -> length firsts = length hints ->
  Forall2 (fun rg item => A rg (fst item)) regs (combine firsts hints).
Proof.
  intros A regs firsts hints all. revert hints. induction all as [|rg row regs rows B _ IH]; intros [|hint hints] Len; try discriminate; [constructor|].
  cbn [combine]. constructor; [exact B|]. apply IH. cbn in Len. lia.
Qed.

Theorem region_gaps_sound : forall ranges hints f, all_ranged w P bits groups ranges ->
  region_gaps w P margin bits groups ranges hints = Fine f -> means w P (value_of margin) f.
Proof.
  intros ranges hints f ranged E. unfold region_gaps in E. apply require_fine in E. destruct E as [Len E]. apply Nat.eqb_eq in Len.
  destruct (gaps_of_groups _ _ _ _ _ _ _ _) as [gaps|] eqn:G; [|discriminate].
  apply fine_eq in E. subst f. cbn [means]. split; [exact natural|]. split; [exact right|]. split; [exact ranged|]. unfold all_behind.
  apply gaps_of_groups_right with (items := combine ranges hints); [auto | now apply items_of | exact G].
Qed.
End Sound.
