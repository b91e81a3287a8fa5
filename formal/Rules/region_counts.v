(** rules.md, region_counts: the inputs of a query and label, less those in which some wrong output is not known to stay behind. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Integer.Dyadic Integer.Tables Real.ScaledExp Facts Count.Counting.
From Compact Require Import Regions.Inputs Regions.Groups Regions.Layers Regions.Listing Regions.Longest Regions.Weight Regions.Steps Regions.Labels Regions.Union.
From Compact Require Import General.Balls General.Tables General.Ends General.Problem General.InRegions General.Joint General.Ahead General.Statements General.Prepared.
From Compact Require Import Rules.region_gaps.
Import ListNotations.
Open Scope Z_scope.

Section Program.
Variables (w : layer_weights) (P : problem) (margin : fraction) (budget bits : Z).
Notation L := (layer_of w).
Notation m := (size_m w).
Notation k := (size_k w).
Notation r := (readout P).
Notation c := (allowed P).

(** Nothing is counted where the gap is negative; else a hint has the steps, a slope for each neuron, a mean for each head. *)
Definition counted_in (ready : prepared) (rg : region) (weights : list weighed) (total : Z) (ranges : list Z) (class : watched) (gap : Z) (hint : list Z) : outcome Z :=
  if gap <? 0 then require (Nat.eqb (length hint) 0) wrong_shape (Fine 0) else
  match hint with
  | [] => Refused wrong_shape
  | steps :: lines =>
      let (slopes, means_) := (firstn k lines, skipn k lines) in
      require (Nat.eqb (length lines) (k + length weights)) wrong_shape
      (require ((1 <=? steps) && (steps <=? Z.shiftl 1 16)) out_of_range
      (require ((Z.log2 total + 2) * (steps + 1) <=? budget) over_budget
      (require (Nat.eqb (length weights) 1 || forallb (fun e => 0 <? its_least e) weights) too_coarse
      (let K := constant_in w margin bits ready rg (its_outputs class) slopes ranges in
       let gains := class_gains_with w bits ready (Groups.label_of (group_of rg)) class slopes in
       let T := joint (seen_positions w P) (size_v w) K gains weights means_ in
       Fine (reaching (layers rg) (as_table T) total steps)))))
  end.

Fixpoint counted_in_all (ready : prepared) (rg : region) (weights : list weighed) (total : Z) (ranges : list Z) (classes : list watched) (gaps : list Z) (hints : list (list Z)) : outcome Z :=
  match classes, gaps, hints with
  | [], [], [] => Fine 0
  | class :: classes', gap :: gaps', hint :: hints' =>
      match counted_in ready rg weights total ranges class gap hint with
      | Refused why => Refused why
      | Fine n => match counted_in_all ready rg weights total ranges classes' gaps' hints' with Refused why => Refused why | Fine rest => Fine (n + rest) end
      end
  | _, _, _ => Refused wrong_shape
  end.

(** The number of the group, the query, and what the group holds and does not lose. *)
Definition kept_part := ((nat * nat) * Z)%type.

(** Of a region: ends of what enters its neurons, its gaps, and hints. *)
Definition region_item := ((list Z * list Z) * list (list Z))%type.

Definition keep_of (ready : prepared) (classes : list watched) (rg : region) (item : region_item) : outcome kept_part :=
  let total := weight_of (layers rg) in
  let '((ranges, gaps), hints) := item in
  match (if forallb (fun gap => gap <? 0) gaps then Fine [] else weights_in w P ready rg) with
  | Refused why => Refused why
  | Fine weights =>
      match counted_in_all ready rg weights total ranges classes gaps hints with
      | Refused why => Refused why
      | Fine counted => Fine ((number rg, query rg), Z.max (total - counted) 0)
      end
  end.

Fixpoint keeps_of_regions (ready : prepared) (classes : list watched) (regions : list region) (items : list region_item)
  : outcome (list kept_part * list region_item) :=
  match regions with
  | [] => Fine ([], items)
  | rg :: regions' =>
      match items with
      | [] => Refused wrong_shape
      | item :: items' =>
          match keep_of ready classes rg item with
          | Refused why => Refused why
          | Fine one =>
              match keeps_of_regions ready classes regions' items' with
              | Refused why => Refused why
              | Fine (rest, unread) => Fine (one :: rest, unread)
              end
          end
      end
  end.

Fixpoint keeps_of_groups (ready : prepared) (number : nat) (groups : list group) (items : list region_item) : outcome (list kept_part) :=
  match groups with
  | [] => match items with [] => Fine [] | _ => Refused wrong_shape end
  | g :: rest =>
      match keeps_of_regions ready (watch w bits ready g) (regions_of_group r c number g) items with
      | Refused why => Refused why
      | Fine (some, unread) =>
          match keeps_of_groups ready (S number) rest unread with Refused why => Refused why | Fine more => Fine (some ++ more) end
      end
  end.

(** *** For each label and query what all groups leave *)

Definition same_pair (a b : nat * nat) : bool := Nat.eqb (fst a) (fst b) && Nat.eqb (snd a) (snd b).

(** Each once, where it comes first. *)
Fixpoint firsts (known l : list (nat * nat)) : list (nat * nat) :=
  match l with
  | [] => []
  | a :: rest => if existsb (same_pair a) known then firsts known rest else a :: firsts (a :: known) rest
  end.

Definition pairs_of (groups : list group) : list (nat * nat) :=
  firsts [] (flat_map (fun g => map (fun q => (Groups.label_of g, q)) (queries_of r c g)) groups).

Definition keeps_by (kept : list kept_part) (n q : nat) : Z :=
  add_up (map snd (filter (fun one => same_pair (fst one) (n, q)) kept)).

Definition numbers_for (groups : list group) (l q : nat) : list nat :=
  map fst (filter (fun one => Nat.eqb (Groups.label_of (snd one)) l && asks (snd one) q) (combine (seq 0 (length groups)) groups)).

(** Outputs that the groups with these numbers watch, and the label. *)
Definition watched_by (groups : list group) (l : nat) (numbers : list nat) : Z :=
  fold_right Z.lor (Z.shiftl 1 (Z.of_nat l)) (flat_map (fun n => match nth_error groups n with Some g => Groups.rivals g | None => [] end) numbers).

Definition weights_of_labels (groups : list group) : list (list (nat * Z)) :=
  map (fun q => if existsb (fun g => asks g q) groups
                then label_weights (start (answer P)) (step_read P) (label_number w P) same_state state_before (with_query r c q) else [])
    (seq 0 (size_v w)).

Definition entry_of_pair (groups : list group) (labels : list (list (nat * Z))) (kept : list kept_part) (pair : nat * nat) : entry_of_tally :=
  let (l, q) := pair in
  let all := weight_of_label (nth q labels []) l in
  let numbers := numbers_for groups l q in
  let right := all - add_up (map (fun n => all - keeps_by kept n q) numbers) in
  Entry (Z.of_nat l) (Z.shiftl 1 (Z.of_nat q)) (Z.ones (Z.of_nat (length c)))
    (if watched_by groups l numbers =? Z.ones (Z.of_nat m) then Z.max right 0 else 0) 0.

Definition region_counts (groups : list group) (ranges gaps : list (list Z)) (hints : list (list (list Z))) : outcome statement :=
  require (Nat.eqb (length ranges) (length gaps) && Nat.eqb (length gaps) (length hints)) wrong_shape
  match keeps_of_groups (prepare w P bits groups) 0 groups (combine (combine ranges gaps) hints) with
  | Refused why => Refused why
  | Fine kept =>
      let labels := weights_of_labels groups in
      Fine (Tally_of_weights (map (entry_of_pair groups labels kept) (pairs_of groups)))
  end.
End Program.

(** ** Soundness *)

Section Sound.
Variables (w : layer_weights) (P : problem) (margin : fraction) (budget bits : Z) (groups : list group).
Hypothesis fits : problem_fits w P = true.
Hypothesis natural : 0 <= bits.
Hypothesis positive : 0 < snd margin.
Hypothesis right : Forall (fun g => group_right w P g = true) groups.
Notation L := (layer_of w).
Notation m := (size_m w).
Notation k := (size_k w).
Notation r := (readout P).
Notation c := (allowed P).
Notation ready := (prepare w P bits groups).
Notation all_regions := (regions_of r c groups).

(** Some output of the class is not behind. *)
Definition ahead (rg : region) (x : list nat) (y : nat) : bool :=
  if Rle_dec 0 (logit_at L x r y - logit_at L x r (Groups.label_of (group_of rg)) + value_of margin) then true else false.
Definition class_reaches (rg : region) (mask : Z) (x : list nat) : bool := existsb (ahead rg x) (outputs_in m mask).
Definition lost (rg : region) (x : list nat) : bool := existsb (fun mask => class_reaches rg mask x) (Groups.rivals (group_of rg)).
Definition loses (rg : region) : Z := weigh (fun x => member r rg x && lost rg x) c.

Let r_small : (r < length c)%nat.
Proof. now apply (fits_parts w P). Qed.

Let weights_positive : Inputs.positive c.
Proof. now apply (fits_parts w P). Qed.

Lemma counted_right : forall rg weights ranges mask gap hint n, In rg all_regions -> range_true w P bits rg ranges ->
  (0 <= gap -> weights_in w P ready rg = Fine weights) -> class_behind w P (value_of margin) bits rg mask gap ->
  counted_in w P margin budget bits ready rg weights (weight_of (layers rg)) ranges
    (class_of w P bits groups (Groups.label_of (group_of rg)) mask) gap hint = Fine n ->
  weigh (fun x => member r rg x && class_reaches rg mask x) c <= n.
Proof.
  intros rg weights ranges mask gap hint n I [Lr ranged] W behind E. pose proof (label_small w P groups right rg I) as C. unfold counted_in in E.
  pose proof (pow2_pos bits) as unit.
  destruct (gap <? 0) eqn:sign.
  - apply require_fine in E. destruct E as [_ E]. apply fine_eq in E. subst n. apply Z.ltb_lt, IZR_lt in sign.
    rewrite weigh_none; [lia|]. intros x input. apply not_true_is_false. intros T. apply andb_prop in T. destruct T as [M T].
    unfold class_reaches in T. apply existsb_exists in T. destruct T as (y & Y & T). unfold ahead in T. destruct (Rle_dec _ _) as [reached|]; [|discriminate].
    specialize (behind x y input M Y). nra.
  - apply Z.ltb_ge in sign. specialize (W sign).
    destruct hint as [|steps lines]; [discriminate|]. apply require_fine in E. destruct E as [Len E]. apply Nat.eqb_eq in Len.
    apply require_fine in E. destruct E as [S E]. apply andb_prop in S. destruct S as [S _]. apply Z.leb_le in S.
    apply require_fine in E. destruct E as [_ E]. apply require_fine in E. destruct E as [enough E]. apply fine_eq in E. subst n.
    cbn [its_outputs class_of].
    eapply Z.le_trans; [|apply (reaching_upper r c groups r_small weights_positive rg _ steps I); lia].
    apply weigh_le; [exact weights_positive|]. intros x input T. apply andb_prop in T. destruct T as [M T]. rewrite M. cbn [andb]. apply Z.leb_le.
    unfold class_reaches in T. apply existsb_exists in T. destruct T as (y & Y & T). unfold ahead in T. destruct (Rle_dec _ _) as [reached|]; [|discriminate].
    destruct (weights_ready w P bits groups fits right rg x weights I input M W) as [known Ew]. subst weights.
    pose proof (proj1 (in_outputs_in _ _ _) Y) as [y_small _]. rewrite map_length in Len, enough.
    set (slopes := firstn k lines) in *. set (bounds := skipn k lines) in *.
    assert (Ls : length slopes = k) by (unfold slopes; rewrite firstn_length; lia).
    assert (Lb : length bounds = length (Tables.of_heads (its_tables ready))) by (unfold bounds; rewrite skipn_length; lia).
    rewrite class_gains_ready by exact Ls.
    apply (joint_reached w P bits groups rg x fits natural I input M (class_table w bits (Groups.label_of (group_of rg)) (outputs_in m mask) slopes) _
      (class_bound w P bits x fits input _ (outputs_in m mask) y slopes C y_small Y Ls) (attn_heads w)
      (Tables.of_heads (its_tables ready)) (heads_ready w P bits groups fits natural) known).
    + exact Lb.
    + apply orb_prop in enough. destruct enough as [one|all]; [left; now apply Nat.eqb_eq | right].
      rewrite forallb_forall in all |- *. intros one J. specialize (all (weighed_in rg (ends_read (flags_of w P rg) (powers_at w P bits (query rg) one)))).
      apply all. exact (in_map (fun one => weighed_in rg (ends_read (flags_of w P rg) (powers_at w P bits (query rg) one))) _ one J).
    + apply Rle_trans with ((logit_at L x r y - logit_at L x r (Groups.label_of (group_of rg)) + value_of margin) * pow2 bits)%R; [nra|].
      exact (ahead_in_units w P bits rg x fits natural input M (Groups.label_of (group_of rg)) (outputs_in m mask) y slopes ranges C y_small Y Ls Lr
        (fun j J => ranged x j input M J) margin positive).
Qed.

Lemma all_counted : forall rg weights ranges gaps hints n, In rg all_regions -> range_true w P bits rg ranges ->
  (forallb (fun gap => gap <? 0) gaps = false -> weights_in w P ready rg = Fine weights) ->
  Forall2 (class_behind w P (value_of margin) bits rg) (Groups.rivals (group_of rg)) gaps ->
  counted_in_all w P margin budget bits ready rg weights (weight_of (layers rg)) ranges (watch w bits ready (group_of rg)) gaps hints = Fine n ->
  loses rg <= n.
Proof.
  intros rg weights ranges gaps hints n I ranged W behind E. unfold loses, lost.
  assert (W' : forall gap, In gap gaps -> 0 <= gap -> weights_in w P ready rg = Fine weights).
  { intros gap J G. apply W. apply not_true_is_false. intros T. rewrite forallb_forall in T. specialize (T gap J). apply Z.ltb_lt in T. lia. }
  clear W. unfold watch in E. revert hints n E W'.
  induction behind as [|mask gap masks gaps B behind IH]; intros hints n E W'; cbn [map counted_in_all] in E.
  - destruct hints; [|discriminate]. inversion E. rewrite weigh_none; [lia|]. intros x _. cbn [existsb]. apply andb_false_r.
  - destruct hints as [|hint hints]; [discriminate|]. destruct (counted_in _ _ _ _ _ _ _ _ _ _ _ _ _) as [one|] eqn:One; [|discriminate].
    destruct (counted_in_all _ _ _ _ _ _ _ _ _ _ _ _ _) as [rest|] eqn:Rest; [|discriminate]. inversion E; subst.
    apply counted_right in One; [|exact I | exact ranged | intros; apply (W' gap); auto; now left | exact B].
    specialize (IH hints rest Rest ltac:(intros gap' J; apply W'; now right)).
    cbn [existsb].
    rewrite (weigh_ext c _ (fun x => (member r rg x && class_reaches rg mask x) || (member r rg x && existsb (fun mask => class_reaches rg mask x) masks)))
      by (intros x _; now rewrite andb_orb_distrib_r).
    eapply Z.le_trans; [exact (weigh_or c (fun x => member r rg x && class_reaches rg mask x)
      (fun x => member r rg x && existsb (fun mask => class_reaches rg mask x) masks) weights_positive) | lia].
Qed.

(** What the program keeps of a region is at most what is there. *)
Definition kept_right (rg : region) (one : kept_part) : Prop :=
  fst one = (number rg, query rg) /\ snd one <= Z.max (weight_of (layers rg) - loses rg) 0.

Definition item_right (rg : region) (item : region_item) : Prop :=
  range_true w P bits rg (fst (fst item)) /\ Forall2 (class_behind w P (value_of margin) bits rg) (Groups.rivals (group_of rg)) (snd (fst item)).

Lemma keep_right : forall rg item one, In rg all_regions -> item_right rg item ->
  keep_of w P margin budget bits ready (watch w bits ready (group_of rg)) rg item = Fine one -> kept_right rg one.
Proof.
  intros rg [[ranges gaps] hints] one I [ranged behind] E. unfold keep_of in E. cbn [fst snd] in *.
  destruct (if forallb _ gaps then _ else _) as [weights|] eqn:W; [|discriminate].
  destruct (counted_in_all _ _ _ _ _ _ _ _ _ _ _ _ _) as [n|] eqn:N; [|discriminate]. apply fine_eq in E. subst one.
  split; [reflexivity|]. cbn [snd]. apply all_counted in N; [lia | exact I | exact ranged | | exact behind]. intros F. now rewrite F in W.
Qed.

Lemma keeps_of_regions_right : forall g regions rest items some unread,
  (forall rg, In rg regions -> In rg all_regions /\ group_of rg = g) -> Forall2 item_right (regions ++ rest) items ->
  keeps_of_regions w P margin budget bits ready (watch w bits ready g) regions items = Fine (some, unread) ->
  Forall2 kept_right regions some /\ Forall2 item_right rest unread.
Proof.
  intros g. induction regions as [|rg regions IH]; intros rest items some unread sub all E; cbn [keeps_of_regions app] in *.
  - inversion E; subst. now split.
  - inversion all as [|? item ? items' A B]; subst. destruct (keep_of _ _ _ _ _ _ _ _ _) as [one|] eqn:One; [|discriminate].
    destruct (keeps_of_regions _ _ _ _ _ _ _ _ _) as [[more unread']|] eqn:Rest; [|discriminate]. inversion E; subst.
    destruct (sub rg ltac:(now left)) as [I G]. subst g. destruct (IH rest items' more unread) as [C D]; [intros; apply sub; now right | exact B | exact Rest|].
    split; [|exact D]. constructor; [|exact C]. now apply keep_right with (item := item).
Qed.

Lemma keeps_of_groups_right : forall rest n items kept, (forall rg, In rg (regions_from r c n rest) -> In rg all_regions) ->
  Forall2 item_right (regions_from r c n rest) items ->
  keeps_of_groups w P margin budget bits ready n rest items = Fine kept -> Forall2 kept_right (regions_from r c n rest) kept.
Proof.
  induction rest as [|g rest IH]; intros n items kept sub all E; cbn [keeps_of_groups regions_from] in *.
  - destruct items; [|discriminate]. inversion E. constructor.
  - destruct (keeps_of_regions _ _ _ _ _ _ _ _ _) as [[some unread]|] eqn:Some_; [|discriminate].
    destruct (keeps_of_groups _ _ _ _ _ _ _ _ _) as [more|] eqn:More; [|discriminate]. inversion E; subst.
    apply keeps_of_regions_right with (rest := regions_from r c (S n) rest) in Some_; [|intros rg I; split; [apply sub, in_app_iff; now left | now apply in_regions_of_group in I] | exact all].
    destruct Some_ as [A B]. apply Forall2_app; [exact A|]. apply IH with (items := unread); [intros rg I; apply sub, in_app_iff; now right | exact B | exact More].
Qed.

Lemma keeps_by_right : forall kept n q, Forall2 kept_right all_regions kept -> keeps_by kept n q <= left_of r c groups loses n q.
Proof.
  intros kept n q all. unfold keeps_by, left_of, regions_with. induction all as [|rg one regs kept [F S] _ IH]; [cbn; lia|].
  cbn [filter]. rewrite F. unfold same_pair at 1, of_pair at 1. cbn [fst snd].
  destruct (Nat.eqb (number rg) n && Nat.eqb (query rg) q); cbn [map add_up]; lia.
Qed.

Lemma add_up_fewer : forall (all : Z) (f g : nat -> Z) ns, (forall n, f n <= g n) ->
  all - add_up (map (fun n => all - f n) ns) <= all - add_up (map (fun n => all - g n) ns).
Proof. intros all f g ns less. induction ns as [|n ns IH]; cbn [map add_up]; [lia|]. specialize (less n). lia. Qed.

Lemma in_numbers : forall l q n, In n (numbers_for groups l q) ->
  exists g, nth_error groups n = Some g /\ Groups.label_of g = l /\ asks g q = true.
Proof.
  intros l q n I. unfold numbers_for in I. rewrite in_map_iff in I. destruct I as ([n' g] & E & I). cbn [fst] in E. subst n'.
  apply filter_In in I. destruct I as [I T]. cbn [snd] in T. apply andb_prop in T. destruct T as [T A]. apply Nat.eqb_eq in T. exists g. split; [|now split].
  apply (In_nth _ _ (0%nat, g)) in I. destruct I as (i & Hi & E). rewrite combine_length, seq_length, Nat.min_id in Hi.
  rewrite combine_nth in E by apply seq_length. rewrite seq_nth in E by exact Hi. cbn [Nat.add] in E.
  pose proof (f_equal fst E) as N. pose proof (f_equal snd E) as G. cbn [fst snd] in N, G. subst i.
  rewrite (nth_error_nth' _ g Hi). now f_equal.
Qed.

Lemma watched_some : forall l ns y, Z.testbit (watched_by groups l ns) (Z.of_nat y) = true -> y <> l ->
  exists n g mask, In n ns /\ nth_error groups n = Some g /\ In mask (Groups.rivals g) /\ Z.testbit mask (Z.of_nat y) = true.
Proof.
  intros l ns y T other. unfold watched_by in T. set (masks := flat_map _ ns) in T.
  assert (S : exists mask, In mask masks /\ Z.testbit mask (Z.of_nat y) = true).
  { clearbody masks. induction masks as [|mask masks IH]; cbn [fold_right] in T.
    - rewrite Z.shiftl_1_l, Z.pow2_bits_eqb in T by lia. apply Z.eqb_eq in T. lia.
    - rewrite Z.lor_spec in T. apply orb_prop in T. destruct T as [T|T]; [exists mask; split; [now left | exact T]|].
      destruct (IH T) as (mask' & I & B). exists mask'. split; [now right | exact B]. }
  destruct S as (mask & I & B). unfold masks in I. rewrite in_flat_map in I. destruct I as (n & N & I).
  destruct (nth_error groups n) as [g|] eqn:G; [|destruct I]. now exists n, g, mask.
Qed.

Lemma member_label : forall rg x, In rg all_regions -> In x (inputs c) -> member r rg x = true ->
  label_of_input w P x = Groups.label_of (group_of rg).
Proof.
  intros rg x I input M. destruct (group_among w P groups right rg I) as (_ & A & V).
  pose proof (query_of_input P rg x M) as Q. unfold member, in_region in M. apply andb_prop in M. destruct M as [_ M].
  unfold is_number in M. destruct (part_of (group_of rg) x) as [p|] eqn:Part; [|discriminate].
  unfold group_right in V. apply (valid_label _ _ _ _ _ same_state_eq r c (group_of rg) r_small weights_positive _ _ V x p input); [now rewrite Q | exact Part].
Qed.

Lemma entry_right : forall kept pair, Forall2 kept_right all_regions kept ->
  In pair (flat_map (fun g => map (fun q => (Groups.label_of g, q)) (queries_of r c g)) groups) ->
  entry_weighs w P (value_of margin) (entry_of_pair w P groups (weights_of_labels w P groups) kept pair).
Proof.
  intros kept [l q] all_kept I. rewrite in_flat_map in I. destruct I as (g & G & I). rewrite in_map_iff in I. destruct I as (q' & E & Q).
  injection E as El Eq. subst q'. unfold queries_of in Q. apply filter_In in Q. destruct Q as [Q A].
  assert (l_small : (l < m)%nat).
  { rewrite Forall_forall in right. pose proof (right g G) as V. unfold group_right, valid in V. rewrite !andb_true_iff in V.
    destruct V as [[[[_ V] _] _] _]. apply Nat.ltb_lt in V. congruence. }
  unfold entry_weighs, entry_of_pair. cbn [Facts.right Facts.missed Facts.of_label Facts.queries].
  split; [|exists []; split; [apply NoDup_nil | split; [apply Forall_nil | apply Z.le_refl]]].
  unfold of_cell. cbn [Facts.of_label Facts.queries].
  set (ns := numbers_for groups l q). set (W := weight_of_label (nth q (weights_of_labels w P groups) []) l).
  set (all := fun x => Nat.eqb (label_of_input w P x) l && Nat.eqb q (nth r x 0%nat)).
  assert (q_small : (q < size_v w)%nat).
  { pose proof (fits_parts w P fits) as (_ & _ & _ & _ & _ & small). rewrite Forall_forall in small.
    specialize (small (nth r c []) ltac:(apply nth_In, r_small)). rewrite in_map_iff in Q. destruct Q as (a & <- & Q). rewrite Forall_forall in small. now apply small. }
  assert (EW : W = weigh all c).
  { unfold W, weights_of_labels. rewrite (Matrix.nth_map _ _ _ _ _ 0%nat []) by (rewrite seq_length; exact q_small). rewrite seq_nth by exact q_small. cbn [Nat.add].
    replace (existsb (fun g => asks g q) groups) with true by (symmetry; apply existsb_exists; now exists g).
    rewrite weight_of_label_right by exact same_state_eq. unfold with_query. now rewrite weigh_restrict by exact r_small. }
  destruct (watched_by groups l ns =? Z.ones (Z.of_nat m)) eqn:whole; [|exists []; split; [apply NoDup_nil | split; [apply Forall_nil | apply Z.le_refl]]].
  apply Z.eqb_eq in whole.
  apply (weigh_claim w P fits _ (fun x => all x && forallb (fun n => Union.kept r c groups lost n q x) ns)).
  - apply Z.max_lub; [|now apply weigh_nonneg].
    apply Z.le_trans with (1 := add_up_fewer W _ _ ns (fun n => keeps_by_right kept n q all_kept)). rewrite EW.
    apply (all_keep r c groups r_small (proj1 (proj2 (proj2 (proj2 (fits_parts w P fits))))) weights_positive lost loses all q ns).
    + intros n x N input K. unfold Union.kept in K. apply existsb_exists in K. destruct K as (rg & I & K). unfold regions_with in I. apply filter_In in I.
      destruct I as [I T]. unfold of_pair in T. apply andb_prop in T. destruct T as [T1 T2]. apply Nat.eqb_eq in T1, T2.
      unfold keeps in K. apply andb_prop in K. destruct K as [M _]. destruct (in_numbers l q n N) as (g' & G' & L' & _).
      destruct (regions_right r c groups rg I) as (G'' & _). rewrite T1, G' in G''. inversion G''; subst g'.
      unfold all. rewrite (member_label rg x I input M), L', (query_of_input P rg x M), T2, !Nat.eqb_refl. reflexivity.
    + intros n rg _ _. apply Z.le_refl.
  - intros x input T. apply andb_prop in T. destruct T as [T each]. unfold all in T. apply andb_prop in T. destruct T as [Lab Qx].
    apply Nat.eqb_eq in Lab, Qx. pose proof (label_right w P x l Lab l_small) as answer_. split; [|split].
    + exists l. split; [exact answer_|]. split; [exact l_small|]. intros y Y other. change (y < m)%nat in Y.
      assert (B : Z.testbit (watched_by groups l ns) (Z.of_nat y) = true) by (rewrite whole; apply Z.ones_spec_low; lia).
      destruct (watched_some l ns y B other) as (n & g' & mask & N & G' & Mask & Bit). rewrite forallb_forall in each. specialize (each n N).
      unfold Union.kept in each. apply existsb_exists in each. destruct each as (rg & I & K). unfold regions_with in I. apply filter_In in I.
      destruct I as [I T]. unfold of_pair in T. apply andb_prop in T. destruct T as [T1 T2]. apply Nat.eqb_eq in T1.
      unfold keeps in K. apply andb_prop in K. destruct K as [M K]. apply negb_true_iff in K.
      destruct (regions_right r c groups rg I) as (G'' & _). rewrite T1, G' in G''. inversion G''; subst g'.
      assert (EL : Groups.label_of (group_of rg) = l) by (rewrite <- (member_label rg x I input M); exact Lab).
      destruct (Rlt_or_le (logit_at L x r y + value_of margin) (logit_at L x r l)) as [less|more]; [exact less|]. exfalso.
      rewrite <- not_true_iff_false in K. apply K. unfold lost. apply existsb_exists. exists mask. split; [exact Mask|].
      unfold class_reaches. apply existsb_exists. exists y. split; [apply in_outputs_in; now split|]. unfold ahead. rewrite EL.
      destruct (Rle_dec _ _) as [|no]; [reflexivity|]. exfalso. apply no. lra.
    + now symmetry.
    + rewrite <- Qx, Z.shiftl_1_l, Z.pow2_bits_eqb by lia. apply Z.eqb_refl.
Qed.

Lemma firsts_in : forall l known a, In a (firsts known l) -> In a l.
Proof.
  induction l as [|b l IH]; intros known a I; [destruct I|]. cbn [firsts] in I. destruct (existsb _ known); [right; now apply (IH known)|].
  destruct I as [->|I]; [now left | right; now apply (IH (b :: known))].
Qed.

Theorem region_counts_sound : forall ranges gaps hints f, all_ranged w P bits groups ranges -> all_behind w P (value_of margin) bits groups gaps ->
  region_counts w P margin budget bits groups ranges gaps hints = Fine f -> means w P (value_of margin) f.
Proof.
  intros ranges gaps hints f ranged behind E. unfold region_counts in E. apply require_fine in E. destruct E as [Len E].
  rewrite andb_true_iff, !Nat.eqb_eq in Len. destruct Len as [L1 L2].
  destruct (keeps_of_groups _ _ _ _ _ _ _ _ _) as [kept|] eqn:K; [|discriminate]. apply fine_eq in E. subst f. cbn [means].
  apply keeps_of_groups_right in K; [|auto|].
  - apply Forall_forall. intros e I. rewrite in_map_iff in I. destruct I as (pair & <- & I). apply entry_right; [exact K|].
    unfold pairs_of in I. now apply firsts_in in I.
  - clear K. unfold all_behind, all_ranged, regions_of in *. revert gaps hints behind L1 L2. induction ranged as [|rg row regs rows B _ IH]; intros gaps hints behind L1 L2.
    + inversion behind; subst. constructor.
    + inversion behind as [|? gap ? gaps' A behind']; subst. destruct hints as [|hint hints]; [discriminate|]. cbn [combine]. constructor; [now split|].
      apply IH; [exact behind' | cbn in L1; lia | cbn in L2; lia].
Qed.
End Sound.
